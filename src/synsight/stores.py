"""Object stores as folders: catalogs and their small files at URLs such as `s3://bucket/catalog`.

A `StorePath` is a path whose file is an object. What is written becomes visible whole, at once and durably,
as stores promise. Settings come from the environment, under the names that the stores' own tools know:
AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN,
GOOGLE_APPLICATION_CREDENTIALS, AZURE_STORAGE_ACCOUNT_NAME, AZURE_STORAGE_ACCOUNT_KEY.
"""

import hashlib
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path, PosixPath, PurePosixPath
from typing import IO, Any

import pyarrow as pa
import pyarrow.fs as pa_fs

from synsight.errors import ConfigError, StorageError

STORES = ("s3", "gs", "az")
"""Schemes that both the table library and Arrow know."""
CONNECT_SECONDS = 5.0
TRIES = 3
"""How often a request is made before a store counts as silent."""

_URL = re.compile(r"([a-z][a-z0-9+.-]+):/+(?=[^/])")


class StorePath(PosixPath):
    """A path in a store; has the methods of a path that synsight uses.

    `str()` gives the URL. Folders are there when something lies in them, so `mkdir` does nothing.
    """

    def __str__(self) -> str:
        scheme, _, rest = super().__str__().partition(":")
        return f"{scheme}://{rest.lstrip('/')}"

    def __fspath__(self) -> str:
        return str(self)

    def exists(self, **_: Any) -> bool:
        """Whether there is an object, or something below."""
        return self._kind() is not pa_fs.FileType.NotFound

    def is_file(self, **_: Any) -> bool:
        """Whether there is an object of this name."""
        return bool(self._kind() is pa_fs.FileType.File)

    def is_dir(self, **_: Any) -> bool:
        """Whether there are objects below."""
        return bool(self._kind() is pa_fs.FileType.Directory)

    def stat(self, **_: Any) -> os.stat_result:
        """Its size; a store tells no more."""
        with store_errors(self):
            size = self._store.get_file_info(self._key).size
        return os.stat_result((0o100644, 0, 0, 1, 0, 0, size or 0, 0, 0, 0))

    def open(self, mode: str = "rb", *_: Any, **__: Any) -> IO[Any]:  # type: ignore[override]
        """Read the object's bytes; whoever writes uses `files.write_bytes`."""
        assert mode == "rb", mode
        with store_errors(self):
            opened: IO[Any] = self._store.open_input_file(self._key)
        return opened

    def read_bytes(self) -> bytes:
        """The object.

        Raises:
            FileNotFoundError: There is none.
            StorageError: The store does not answer.
        """
        with store_errors(self), self._store.open_input_stream(self._key) as file:
            return bytes(file.read())

    def read_text(self, encoding: str | None = None, *_: Any, **__: Any) -> str:
        """The object as text."""
        return self.read_bytes().decode(encoding or "utf-8")

    def write_bytes(self, data: Any) -> int:
        """Make or replace the object; readers see the old one or the new one."""
        with store_errors(self), self._store.open_output_stream(self._key) as file:
            file.write(data)
        return len(data)

    def write_from(self, path: Path) -> None:
        """Make or replace the object with a file's bytes."""
        with (
            path.open("rb") as source,
            store_errors(self),
            self._store.open_output_stream(self._key) as file,
        ):
            while block := source.read(1 << 24):
                file.write(block)

    def unlink(self, missing_ok: bool = False) -> None:
        """Delete the object, or all below."""
        kind = self._kind()
        with store_errors(self):
            if kind is pa_fs.FileType.Directory:
                self._store.delete_dir(self._key)
            elif kind is pa_fs.FileType.File or not missing_ok:
                self._store.delete_file(self._key)

    def mkdir(self, *_: Any, **__: Any) -> None:
        """Nothing to do."""

    def resolve(self, strict: bool = False) -> "StorePath":
        """Itself: a URL knows no links."""
        return self

    def absolute(self) -> "StorePath":
        """Itself."""
        return self

    def iterdir(self) -> Iterator["StorePath"]:  # type: ignore[override]
        """What lies directly below."""
        return self._below(recursive=False)

    def glob(self, pattern: str, **_: Any) -> Iterator["StorePath"]:  # type: ignore[override]
        """Objects directly below whose names match."""
        return (one for one in self._below(recursive=False) if fnmatchcase(one.name, pattern))

    def rglob(self, pattern: str, **_: Any) -> Iterator["StorePath"]:  # type: ignore[override]
        """Objects anywhere below whose names match."""
        return (one for one in self._below(recursive=True) if fnmatchcase(one.name, pattern))

    def _below(self, *, recursive: bool) -> Iterator["StorePath"]:
        with store_errors(self):
            selector = pa_fs.FileSelector(self._key, allow_not_found=True, recursive=recursive)
            found = self._store.get_file_info(selector)
        return (self / PurePosixPath(one.path).relative_to(self._key) for one in found)

    def _kind(self) -> Any:
        with store_errors(self):
            return self._store.get_file_info(self._key).type

    @property
    def _scheme(self) -> str:
        return str(self).partition("://")[0]

    @property
    def _key(self) -> str:
        return str(self).partition("://")[2]

    @property
    def _store(self) -> Any:
        return _store(self._scheme, _endpoint() if self._scheme == "s3" else "", _seconds())


def place(path: str | Path) -> Path:
    """The path for what a user typed: a folder, or a URL of a store.

    Raises:
        ConfigError: A URL of something else.
    """
    if isinstance(path, StorePath):
        return path
    text = str(path)
    found = _URL.match(text)  # one slash: the URL went through a Path on its way
    if found is None or ("://" not in text and Path(path).parent.exists()):
        return Path(path)
    scheme = found.group(1)
    url = f"{scheme}://{text[found.end() :]}"
    if scheme not in STORES:
        known = ", ".join(f"{one}://" for one in STORES)
        raise ConfigError(f"{url}: expected a folder or a URL that begins with {known}; found {scheme}://.")
    return StorePath(url)


def work_folder(path: StorePath) -> Path:
    """Where this machine keeps what it works on for a catalog in a store: ledger and unfinished results.

    A folder named by the URL below $SYNSIGHT_WORK, else below the user's cache folder.
    """
    base = os.environ.get("SYNSIGHT_WORK")
    caches = Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")
    root = Path(base) if base else Path(os.environ.get("XDG_CACHE_HOME") or caches) / "synsight" / "work"
    digest = hashlib.blake2b(f"{_endpoint()} {path}".encode(), digest_size=8).hexdigest()
    return root / f"{path.name}-{digest}"


def table_options(path: Path) -> dict[str, str] | None:
    """What the table library must be told of a store beside the environment; None for a folder."""
    if not isinstance(path, StorePath):
        return None
    options = {
        "connect_timeout": f"{CONNECT_SECONDS:g}s",
        "timeout": f"{_seconds():g}s",
        "client_max_retries": str(TRIES),
        "client_retry_timeout": f"{TRIES * _seconds():.0f}",
    }
    if str(path).startswith("s3://"):
        if endpoint := _endpoint():
            options |= {"aws_endpoint": endpoint, "allow_http": str(endpoint.startswith("http://")).lower()}
        options["aws_region"] = _region()
    return options


@contextmanager
def store_errors(path: Path) -> Iterator[None]:
    """Turn what a store says into one sentence; a missing object stays a FileNotFoundError."""
    try:
        yield
    except FileNotFoundError:
        raise
    except (OSError, pa.ArrowException) as error:
        words = " ".join(str(error).split())[:300]
        raise StorageError(
            f"{path}: the store refused or did not answer ({words}); check the URL, the credentials and the "
            "network, then run it again: what was finished is kept."
        ) from error


@lru_cache(maxsize=8)
def _store(scheme: str, endpoint: str, seconds: float) -> Any:
    if scheme == "s3":
        where = {}
        if endpoint:
            kind, _, host = endpoint.rpartition("://")
            where = {"scheme": kind or "https", "endpoint_override": host}
        return pa_fs.S3FileSystem(
            region=_region(),
            connect_timeout=CONNECT_SECONDS,
            request_timeout=seconds,
            retry_strategy=pa_fs.AwsStandardS3RetryStrategy(max_attempts=TRIES),
            **where,
        )
    if scheme == "gs":
        return pa_fs.GcsFileSystem()
    return pa_fs.AzureFileSystem(
        os.environ["AZURE_STORAGE_ACCOUNT_NAME"], account_key=os.environ.get("AZURE_STORAGE_ACCOUNT_KEY")
    )


def _endpoint() -> str:
    names = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
    return next((os.environ[name].rstrip("/") for name in names if os.environ.get(name)), "")


def _region() -> str:
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"


def _seconds() -> float:
    """Longest wait for an answer of a store."""
    text = os.environ.get("SYNSIGHT_STORE_SECONDS") or "60"
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not seconds > 0:
        raise ConfigError(f"SYNSIGHT_STORE_SECONDS must be a number above zero; got {text!r}.")
    return seconds
