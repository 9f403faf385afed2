"""What a service is started with."""

import ipaddress
import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from synsight.deployment.serving.limits import Limits
from synsight.errors import ConfigError, UsageError

TOKEN_VARIABLE = "SYNSIGHT_TOKEN"  # noqa: S105  the variable's name
LEAST_TOKEN, MOST_TOKEN = 16, 1_000

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""Of a head, and of a folder that a request may name: no separator, no leading dot."""

Locale = Literal["en", "ja"]


@dataclass(frozen=True, kw_only=True)
class ServeSettings:
    """A service."""

    models: dict[str, Path]
    """Name of a head -> its folder; the first one's encoder serves all."""
    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = field(default=None, repr=False)
    reference: Path | None = None
    """Catalog of the cases that /similar and /explain show."""
    feedback: Path | None = None
    """Catalog of verdicts; None: none are taken."""
    heads: Path | None = None
    """Folder of the model folders that a request may put in place."""
    workers: int = 1
    limits: Limits = field(default_factory=Limits)
    locale: Locale = "en"
    engine: Literal["onnx", "torch"] = "onnx"
    batch: int = 8
    """Images that go through the encoder together at most."""
    batch_seconds: float = 0.003
    """How long an image may wait for others that are on their way."""
    threads: int | None = None
    """Of the encoder; None: the cores, divided among the workers."""

    def __post_init__(self) -> None:
        if not self.models:
            raise UsageError("serve needs a model, as `synsight serve model/`.")
        for name, most in (("workers", 64), ("batch", 256)):
            if not 1 <= getattr(self, name) <= most:
                raise ConfigError(f"{name} must be in 1..{most}; got {getattr(self, name)}.")
        if not 0 <= self.port <= 65535:
            raise ConfigError(f"port must be in 0..65535; got {self.port}.")
        if self.token is None and not is_loopback(self.host):
            raise ConfigError(
                f"{self.host} is reached from other machines, so the service needs a token: give --token-file"
                f" FILE or set {TOKEN_VARIABLE}; or serve this machine alone with --host 127.0.0.1."
            )
        if self.heads is not None and self.token is None:
            raise ConfigError(
                "who may change heads must bring a token: give --token-file FILE or set "
                f"{TOKEN_VARIABLE}; or leave out --heads."
            )
        if self.heads is not None and not self.heads.is_dir():
            raise ConfigError(f"{self.heads}: expected a folder of model folders, found none.")

    @property
    def threads_each(self) -> int:
        """Of the encoder of one worker."""
        return self.threads or max(1, (os.cpu_count() or 1) // self.workers)


def is_loopback(host: str) -> bool:
    """Whether only this machine's programs reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def host_names(host: str) -> list[str]:
    """What a client on this machine may call the service."""
    own = f"[{host}]" if ":" in host else host
    return ["localhost", "127.0.0.1", "[::1]", own]


def read_token(path: Path | None) -> str | None:
    """The token of a file that its owner alone can read, else of the environment; None: there is none.

    Raises:
        ConfigError: The file is not there, may be read by others, or holds no token of 16 to 1,000 visible
            ASCII characters.
    """
    if path is None:
        found, where = os.environ.get(TOKEN_VARIABLE), TOKEN_VARIABLE
        return None if found is None else _checked(found, where)
    try:
        with path.open("rb") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise ConfigError(
                    f"{path}: expected a file that its owner alone can read, found one that others can; "
                    f"run: chmod 600 {path}"
                )
            found = file.read(MOST_TOKEN + 2).decode("ascii", "replace")
    except OSError as error:
        raise ConfigError(f"{path}: expected a file with the token, found none ({error.strerror}).") from None
    return _checked(found, str(path))


def _checked(found: str, where: str) -> str:
    token = found.strip()
    if not LEAST_TOKEN <= len(token) <= MOST_TOKEN or not all("!" <= letter <= "~" for letter in token):
        raise ConfigError(
            f"{where}: expected a token of {LEAST_TOKEN} to {MOST_TOKEN:,} visible ASCII characters, found "
            "something else; make one with: openssl rand -hex 32"
        )
    return token


def named_folders(models: Sequence[str]) -> dict[str, Path]:
    """Name of a head -> folder, of arguments as "model/" or "NAME=model/"; without a name it is the folder's.

    Raises:
        UsageError: Two have one name, or a name has letters that it may not.
    """
    found: dict[str, Path] = {}
    for text in models:
        name, between, folder = text.partition("=")
        if not between or not NAME.fullmatch(name) or Path(text).is_dir():
            folder, name = text, Path(text).resolve().name
        if name in found or not NAME.fullmatch(name):
            what = (
                "two heads of one name"
                if name in found
                else "a name with other letters than A-Z a-z 0-9 . _ -"
            )
            raise UsageError(f"{text}: found {what} ({name!r}); give it one, as NAME={folder}.")
        found[name] = Path(folder)
    return found
