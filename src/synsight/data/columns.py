"""Which column of a table is the image, the caption, the label: guessed from the usual names, and shown.

Every column of a source is kept under its own name. A *role* is a further column of the catalog, filled from
the column that plays it; where both have one name they are one column.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

from synsight.errors import DataError, near_names

ALIASES: Mapping[str, Sequence[str]] = {
    "id": ("id",),
    "image": (
        *("file_name", "filename", "filepath", "file_path", "image", "image_path", "image_file", "img"),
        *("img_path", "path", "file", "photo", "画像", "画像ファイル", "ファイル名", "ファイル"),
    ),
    "caption": (
        *("caption", "text", "title", "description", "alt_text", "alt", "note", "notes", "comment"),
        *("説明", "キャプション", "備考", "タイトル", "コメント"),
    ),
    "keywords": ("keywords", "tags", "keyword", "tag", "キーワード", "タグ"),
    "label": ("label", "class", "class_name", "category", "target", "ラベル", "クラス", "分類", "カテゴリ"),
    "group": ("group", "group_id", "lot", "lot_id", "patient", "patient_id", "ロット", "グループ", "患者"),
    "split": ("split", "subset", "partition", "分割"),
}
"""Role -> names it usually has, best first; compared without case, with spaces and hyphens as underscores."""

MADE_BY_INGEST = (
    "id",
    "image",
    "width",
    "height",
    "format",
    "caption",
    "keywords",
    "label",
    "group",
    "split",
)
"""Columns that `ingest` fills, in the catalog's order."""

MADE_LATER = frozenset(
    {
        *("image_hash", "image_flags", "caption_flags", "caption_score", "caption_clean", "language"),
        "caption_removed",
        *("caption_repaired", "caption_origin", "caption_embedding", "neighbours", "neighbour_similarity"),
        *("place", "reject_reason", "reject_message"),
    }
)
RESERVED_BEGINNINGS = ("words_", "word_weights_", "features_", "_")


def guess_columns(
    names: Sequence[str], *, chosen: Mapping[str, str | None], bytes_columns: Collection[str] = ()
) -> dict[str, str]:
    """Role -> column of the table.

    Args:
        names: The table's columns.
        chosen: Role -> column that the user named; None: guess; "": no column plays this role.
        bytes_columns: Columns that hold image bytes; of several candidates for the image they are preferred.

    Raises:
        DataError: A named column does not exist, or no column can be the image.
    """
    roles: dict[str, str] = {}
    for role, aliases in ALIASES.items():
        wanted = chosen.get(role)
        if wanted is None:
            found = _first_alias(names, aliases)
            if role == "image":
                found = _first_alias([one for one in names if one in bytes_columns], aliases) or found
        elif wanted and wanted not in names:
            raise DataError(
                f"there is no column {wanted!r} for the {role}; {near_names(wanted, names)} "
                f"Give the right one as --{role}-column."
            )
        else:
            found = wanted
        if found:
            roles[role] = found
    if "image" not in roles:
        raise DataError(
            f"expected a column with images or their paths ({', '.join(ALIASES['image'][:6])}, ...), "
            f"found the columns {', '.join(names) or '(none)'}; name it with --image-column."
        )
    return roles


def kept_names(names: Iterable[str], roles: Mapping[str, str]) -> dict[str, str]:
    """Column of the table -> its name in the catalog, for those that stay beside the roles.

    A name that the catalog fills itself gets `given_` in front; a dot, which the table cannot store, becomes
    an underscore. A column that plays the role of its own name, and one with the image's bytes, is left out
    by the caller or here.
    """
    kept: dict[str, str] = {}
    taken = {*MADE_BY_INGEST, *MADE_LATER}
    for name in names:
        if roles.get(name) == name:
            continue
        wish = name.replace(".", "_")
        while wish in taken or wish.startswith(RESERVED_BEGINNINGS):
            wish = f"given_{wish.lstrip('_')}"
        taken.add(wish)
        kept[name] = wish
    return kept


def distinct_names(header: Sequence[str]) -> list[str]:
    """A header without gaps and copies: `column_3` for an unnamed third column, `a_2` for a second `a`."""
    names: list[str] = []
    for number, cell in enumerate(header, 1):
        base = cell.strip() or f"column_{number}"
        name, copy = base, 2
        while name in names:
            name, copy = f"{base}_{copy}", copy + 1
        names.append(name)
    return names


def _first_alias(names: Iterable[str], aliases: Iterable[str]) -> str | None:
    plain: dict[str, str] = {}
    for name in names:
        plain.setdefault(name.strip().lower().replace(" ", "_").replace("-", "_"), name)
    return next((plain[alias] for alias in aliases if alias in plain), None)
