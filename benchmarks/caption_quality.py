"""How much do bad captions cost, does the audit see it, and does repair win it back?

Captions of a clean set are damaged at growing shares (each damaged row shuffled, buried in boilerplate, with
typos, or truncated, in equal parts), audited, repaired, and learnt from, raw and repaired, by the recipes
that read captions. SimCLR, which reads none, is a flat line; a second one is SimCLR with the crops of those
that read captions (0.4 to 1 of the area, colours as they are), so that what crops do is not taken for what
captions do. Keywords are left out, so that repair has to do with what damage leaves. Every model is judged
frozen on the same test rows, which nobody trained on. Stopped at any moment, the same command goes on where
it was.

    python benchmarks/caption_quality.py --data DIR --pool emoji-google,emoji-twitter,vemoji-fluent-emoji,\\
vemoji-fluent-emoji-flat --label category --out quality/

What it leaves out: recaptioning by a model, other kinds of damage, and tuning of any recipe on damaged data.
"""

import argparse
import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from damage import damage_captions
from turns import machine

from synsight import files, words
from synsight.curation.audit.auditing import audit
from synsight.curation.repair.repairing import repair
from synsight.data.ingestion import ingest
from synsight.evaluation import evaluate, read_results
from synsight.recipes import pretrain

KINDS = ("shuffled", "boilerplate", "typos", "truncated")
READERS = ("lgsimclr", "catlip", "superclass")
BLIND = "simclr"
RIVALS = {BLIND: {}, f"{BLIND}-crops": {"views.kind": "catlip", "views.min_area": "0.4"}}
"""Those that read no caption, and what they change of the recipe."""
FEW = 10


@dataclass(frozen=True)
class Point:
    """One run."""

    recipe: str
    captions: str
    """`raw` or `repaired`."""
    damage: float
    seed: int
    knn: float
    few: float
    seconds: float


def main() -> None:
    arguments = _arguments()
    points, audits = [], {}
    for seed in range(arguments.seeds):
        for damage in arguments.damage:
            catalog = _catalog(arguments, damage, seed)
            audits[damage, seed] = _audited(arguments, catalog, damage, seed)
            runs = [(recipe, captions) for captions in ("raw", "repaired") for recipe in READERS]
            if damage == arguments.damage[0]:
                runs = [*((rival, "raw") for rival in RIVALS), *runs]
            for recipe, captions in runs:
                points.append(_point(arguments, catalog, recipe, captions, damage, seed))
    page = _page(arguments, points, audits)
    files.write_text(arguments.out / "quality.md", page)
    files.write_json(arguments.out / "quality.json", [asdict(point) for point in points])
    _plot(arguments, points)
    print(page)


def _catalog(arguments: argparse.Namespace, damage: float, seed: int) -> Path:
    """The damaged catalog."""
    path: Path = arguments.out / "catalogs" / f"damage_{damage:g}_seed_{seed}"
    if not path.exists():
        parts = [pq.read_table(arguments.data / f"{name}.parquet") for name in arguments.pool.split(",")]
        kept = ["id", "image", "caption", arguments.label, "group", "split"]
        table = pa.concat_tables(
            part.select(kept).set_column(
                0, "id", pa.array([f"{name}/{one}" for one in part["id"].to_pylist()])
            )
            for name, part in zip(arguments.pool.split(","), parts, strict=True)
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        source = path.with_suffix(".parquet")
        pq.write_table(_damaged(table, damage, seed), source)
        ingest(source, out=path, label_column=arguments.label)
        source.unlink()
    return path


def _damaged(table: pa.Table, share: float, seed: int) -> pa.Table:
    """Each of the chosen rows is damaged in one way; the test split is too, since nobody reads it."""
    rng = np.random.default_rng([seed, round(100 * share)])
    chosen = rng.permutation(table.num_rows)[: round(share * table.num_rows)]
    captions = np.array(table["caption"].to_pylist(), dtype=object)
    for kind, rows in zip(KINDS, np.array_split(chosen, len(KINDS)), strict=True):
        whole = damage_captions(table, kind=kind, share=1.0, seed=seed)["caption"].to_pylist()
        captions[rows] = np.array(whole, dtype=object)[rows]
    place = table.schema.get_field_index("caption")
    return table.set_column(place, "caption", pa.array(captions.tolist(), pa.string()))


def _audited(arguments: argparse.Namespace, catalog: Path, damage: float, seed: int) -> dict[str, object]:
    out = arguments.out / "audits" / catalog.name
    if not (out / "audit.json").exists():
        audit(catalog, out=out, seed=seed)
    if not (out / "repair.json").exists():
        repair(catalog, score_model="catalog", drop=arguments.drop, out=out)
    found, mended = (json.loads((out / name).read_text()) for name in ("audit.json", "repair.json"))
    return {
        "verdict": found["verdict"],
        "effective": found["effective_captions"],
        "rows": found["rows"],
        "changed": mended["changed"],
    }


def _point(
    arguments: argparse.Namespace, catalog: Path, recipe: str, captions: str, damage: float, seed: int
) -> Point:
    name = f"{recipe}_{captions}_{damage:g}_seed_{seed}"
    run, judged = arguments.out / "runs" / name, arguments.out / "evaluations" / name
    column = "caption" if captions == "raw" else "caption_repaired"
    if not (run / "DONE").exists() and recipe not in RIVALS:
        words(catalog, text_columns=(column,), caption_encoder="minilm", neighbours=8)
    changes = dict(change.split("=", 1) for change in arguments.set)
    summary = pretrain(
        BLIND if recipe in RIVALS else recipe,
        data=catalog,
        out=run,
        resume=True,
        **{
            "label": arguments.label,
            "seed": seed,
            "text_column": column,
            "steps": arguments.steps,
            **RIVALS.get(recipe, {}),
            **changes,
        },
    )
    if not (judged / "results.json").exists():
        evaluate(
            [summary.model],
            data=catalog,
            label=arguments.label,
            tasks=["knn", "fewshot"],
            labels_per_class=[FEW],
            out=judged,
            draws=3,
            seed=3 * seed,
            names={summary.model: name},
        )
    results = [one for one in read_results(judged) if one.metric == "acc1"]
    return Point(
        recipe=recipe,
        captions=captions,
        damage=damage,
        seed=seed,
        knn=statistics.mean(one.value for one in results if one.task == "knn"),
        few=statistics.mean(one.value for one in results if one.task == "fewshot"),
        seconds=summary.seconds,
    )


def _page(
    arguments: argparse.Namespace, points: Sequence[Point], audits: dict[tuple[float, int], dict[str, object]]
) -> str:
    lines = [
        machine("synsight", "torch", "timm", threads=_threads()),
        "",
        f"{arguments.steps} steps a run, {arguments.seeds} seed(s): mean (lowest to highest).",
        "",
        "| damaged | verdict of the audit | effective captions | repaired |",
        "|--:|---|--:|--:|",
    ]
    for (damage, seed), found in audits.items():
        if seed == 0:
            cells = (
                found["verdict"],
                f"{found['effective']:,.0f} of {found['rows']:,}",
                f"{found['changed']:,}",
            )
            lines.append(f"| {damage:.0%} | " + " | ".join(str(cell) for cell in cells) + " |")
    for field, title in (("knn", "k-NN"), ("few", f"{FEW} labels a class")):
        shares = list(dict.fromkeys(point.damage for point in points))
        lines += [
            "",
            f"### {title}",
            "",
            "| | " + " | ".join(f"{share:.0%} damaged" for share in shares) + " |",
        ]
        lines.append("|---|" + "--:|" * len(shares))
        for recipe, captions in dict.fromkeys((point.recipe, point.captions) for point in points):
            cells = []
            for share in shares:
                values = [
                    getattr(point, field)
                    for point in points
                    if (point.recipe, point.captions, point.damage) == (recipe, captions, share)
                ]
                spread = (
                    f"{statistics.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"
                    if values
                    else ""
                )
                cells.append(spread)
            lines.append(f"| {recipe}, {captions} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _plot(arguments: argparse.Namespace, points: Sequence[Point]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharex=True, constrained_layout=True)
    colours = dict(zip(READERS, ("tab:blue", "tab:orange", "tab:green"), strict=True))
    for axis, (field, title) in zip(axes, (("knn", "k-NN"), ("few", f"{FEW} labels a class")), strict=True):
        for rival, style in zip(RIVALS, (":", "-"), strict=True):
            blind = [getattr(point, field) for point in points if point.recipe == rival]
            if blind:
                axis.axhline(statistics.mean(blind), color="0.5", ls=style, label=f"{rival} (no caption)")
        for recipe, colour in colours.items():
            for captions, style in (("raw", "-"), ("repaired", "--")):
                mine = [point for point in points if (point.recipe, point.captions) == (recipe, captions)]
                shares = sorted({point.damage for point in mine})
                means = [
                    statistics.mean(getattr(point, field) for point in mine if point.damage == share)
                    for share in shares
                ]
                axis.plot(
                    [100 * share for share in shares],
                    means,
                    style,
                    color=colour,
                    marker="o",
                    ms=3,
                    label=f"{recipe}, {captions}",
                )
        axis.set(title=title, xlabel="captions damaged (%)", ylabel="accuracy")
    axes[1].legend(fontsize=7, handlelength=3.5, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(arguments.out / "quality.svg")
    figure.savefig(arguments.out / "quality.png", dpi=110)


def _threads() -> int:
    import torch

    return torch.get_num_threads()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the Parquet files")
    parser.add_argument("--pool", required=True, help="files to pretrain on, commas between")
    parser.add_argument("--label", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--damage", type=float, nargs="+", default=[0.0, 0.2, 0.5, 0.8])
    parser.add_argument("--drop", nargs="*", default=[], help="as repair's: empty, mismatch")
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--set", nargs="*", default=["image_size=48"], metavar="SETTING=VALUE")
    return parser.parse_args()


if __name__ == "__main__":
    main()
