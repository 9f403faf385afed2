"""The manifest of a released folder: which files it holds, byte for byte, and who vouches for them.

    FOLDER/manifest.json    format, the files (path, bytes, sha256), digest, and perhaps a signature

A manifest is checked by making it anew from the files that are there and comparing the bytes: no path and no
number that a foreign manifest names is ever used, and no bit of it can change unnoticed. The digest guards
against damage; only the signature guards against somebody who changes a file and its manifest together.

The signature is HMAC-SHA256 (RFC 2104, FIPS 198-1): who can check it can also make it, so the key belongs to
those who release and those who run, and to nobody between them.
"""

import hashlib
import hmac
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from synsight import files
from synsight.errors import DataError, ModelError

MANIFEST = "manifest.json"
FORMAT = 1
SIGNATURE = "hmac-sha256"
LEAST_KEY_BYTES = 16
MOST_MANIFEST_BYTES = 4 << 20
"""A released folder has a dozen files; a larger manifest is none of ours."""

Key = bytes | str | Path
"""The bytes of a key, or the file that holds them."""


def write_manifest(folder: str | Path, key: Key | None = None) -> Path:
    """List the folder's files with their sizes and SHA-256, and sign the list if there is a key.

    Args:
        folder: Of a model, or exported; what is hidden (names that begin with a dot) is left out.
        key: At least 16 bytes, or the file that holds them; None: no signature.

    Returns:
        The manifest's path; a former manifest is replaced.

    Raises:
        ModelError: There is no such folder, it holds a link or no file, or the key is too short.
        StorageError: The disk refused.
    """
    path = Path(folder) / MANIFEST
    secret = None if key is None else _key_bytes(key)
    files.write_bytes(path, _rendered(_entries(path.parent), secret))
    return path


def check_manifest(folder: str | Path, key: Key | None = None) -> None:
    """See to it that the folder is what was released: every file, every byte, none more and none less.

    Args:
        folder: With a manifest.
        key: Then the manifest must be signed with it; None: a signature there is not looked at.

    Raises:
        ModelError: The first thing that is not as it was released.
    """
    folder = Path(folder)
    written = _manifest_bytes(folder / MANIFEST)
    listed, signature = _parsed(folder / MANIFEST, written)
    found = _entries(folder)
    _compare(folder, listed, found)
    secret = None if key is None else _key_bytes(key)
    if secret is not None:
        _check_signature(folder, signature, secret)
    if not hmac.compare_digest(_whole(found, signature), written):
        raise ModelError(
            f"{folder / MANIFEST}: the manifest itself was changed since it was written; copy the folder "
            "again."
        )


def has_manifest(folder: str | Path) -> bool:
    """Whether there is one to check."""
    return (Path(folder) / MANIFEST).is_file()


def key_name(key: Key) -> str:
    """8 hex digits that name a key without telling it."""
    return hashlib.sha256(b"synsight key name\0" + _key_bytes(key)).hexdigest()[:8]


def _entries(folder: Path) -> list[dict[str, Any]]:
    """The folder's files in order, hidden ones and the manifest left out."""
    if not folder.is_dir():
        raise ModelError(f"{folder}: expected a released folder, found none; check the path.")
    found = []
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in (*folders, *names):
            path = Path(root) / name
            if path.is_symlink() and not name.startswith("."):
                raise ModelError(
                    f"{path}: expected a file, found a link, whose target nobody vouches for; "
                    "put the file itself there."
                )
        found += [Path(root) / name for name in names if not name.startswith(".")]
    paths = {path.relative_to(folder).as_posix(): path for path in found}
    paths.pop(MANIFEST, None)
    if not paths:
        raise ModelError(f"{folder}: expected a released folder, found no file in it; check the path.")
    return [_entry(name, paths[name]) for name in sorted(paths)]


def _entry(name: str, path: Path) -> dict[str, Any]:
    return {"path": name, "bytes": path.stat().st_size, "sha256": files.sha256_of(path)}


def _rendered(entries: Sequence[Mapping[str, Any]], secret: bytes | None) -> bytes:
    if secret is None:
        return _whole(entries, None)
    value = hmac.new(secret, _body(entries), hashlib.sha256).hexdigest()
    return _whole(entries, {"kind": SIGNATURE, "key": key_name(secret), "value": value})


def _body(entries: Sequence[Mapping[str, Any]]) -> bytes:
    """What is digested and signed."""
    return json.dumps({"format": FORMAT, "files": list(entries)}, sort_keys=True).encode()


def _whole(entries: Sequence[Mapping[str, Any]], signature: Mapping[str, Any] | None) -> bytes:
    # Over the signature too, so that a bit of it that flips is noticed by those who have no key.
    guarded = _body(entries) + json.dumps(signature, sort_keys=True).encode()
    digest = hashlib.sha256(guarded).hexdigest()
    whole = {"format": FORMAT, "files": list(entries), "digest": digest, "signature": signature}
    return (json.dumps(whole, indent=2) + "\n").encode()


def _manifest_bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size <= MOST_MANIFEST_BYTES:
            return path.read_bytes()
    except OSError:
        raise ModelError(
            f"{path}: expected a manifest, found none; give a folder that `export` or `write_manifest` wrote."
        ) from None
    raise ModelError(f"{path}: expected a manifest, found a file too large for one; copy the folder again.")


def _parsed(path: Path, written: bytes) -> tuple[dict[str, tuple[Any, Any]], dict[str, str] | None]:
    """What the manifest says, for messages and for the signature; nothing of it is believed."""
    try:
        whole = json.loads(written)
        listed = {str(one["path"]): (one["bytes"], one["sha256"]) for one in whole["files"]}
        given = whole["signature"]
        signature = None if given is None else {name: str(given[name]) for name in ("kind", "key", "value")}
        if whole["format"] != FORMAT:
            raise DataError(f"format {whole['format']!r}")
    except (ValueError, KeyError, TypeError, RecursionError, DataError) as error:
        raise ModelError(
            f"{path}: expected a manifest of format {FORMAT}, found none that can be read "
            f"({type(error).__name__}); copy the folder again."
        ) from None
    return listed, signature


def _compare(folder: Path, listed: Mapping[str, tuple[Any, Any]], found: Sequence[Mapping[str, Any]]) -> None:
    there = {one["path"]: one for one in found}
    for name in sorted(set(listed) | set(there)):
        if name not in there:
            raise ModelError(
                f"{folder}: the manifest lists {name!r}, which is not there; copy the folder again."
            )
        if name not in listed:
            raise ModelError(
                f"{folder / name}: is not in the folder's manifest; take it out, or write the manifest again "
                "if the file is yours."
            )
        if listed[name] != (there[name]["bytes"], there[name]["sha256"]):
            raise ModelError(
                f"{folder / name}: is not the file that was released (sha256 {there[name]['sha256'][:12]}…, "
                f"{there[name]['bytes']:,} bytes); copy the folder again, or write the manifest again if the "
                "change is yours."
            )


def _check_signature(folder: Path, signature: Mapping[str, str] | None, secret: bytes) -> None:
    if signature is None or signature["kind"] != SIGNATURE:
        raise ModelError(
            f"{folder / MANIFEST}: expected a signature of kind {SIGNATURE}, found none; release the folder "
            "again with the key."
        )
    expected = hmac.new(secret, _body(_entries(folder)), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected.encode(), signature["value"].encode("utf-8", "replace")):
        raise ModelError(
            f"{folder / MANIFEST}: was not signed with this key (yours is {key_name(secret)}, the manifest "
            f"names {signature['key'][:8]!r}); get the folder from those who hold the key."
        )


def _key_bytes(key: Key) -> bytes:
    """The key; one line break at the end of a file does not count."""
    if not isinstance(key, bytes):
        path = Path(key)
        try:
            key = path.read_bytes().removesuffix(b"\n").removesuffix(b"\r")
        except OSError as error:
            raise ModelError(
                f"{path}: expected the file of a key, but {error.strerror}; check the path."
            ) from None
    if len(key) < LEAST_KEY_BYTES:
        raise ModelError(
            f"a key for manifests needs at least {LEAST_KEY_BYTES} bytes, got {len(key)}; make one with "
            "`head -c 32 /dev/urandom > release.key`."
        )
    return key
