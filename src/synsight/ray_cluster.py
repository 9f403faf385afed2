"""Joining a Ray cluster, or starting one on this machine: what all that runs on Ray share.

Who reaches the control port of a cluster without tokens runs any code on it (CVE-2023-48022), so we join
only clusters that ask for a token, keep ours readable by its owner alone, and start no dashboard.
"""

import logging
import os
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from secrets import token_hex
from typing import Any

from synsight.errors import ConfigError, MissingDependency, SynsightError, UsageError, near_names
from synsight.files import disk_errors

RUNNERS = ("local", "ray")
"""Where training and sweeps may take place."""
MODE = "RAY_AUTH_MODE"
TOKEN = "token"  # noqa: S105  the name of a mode
LEAST_VERSION = (2, 52)
"""The first that knows tokens, and that mends a browser's way past them (CVE-2025-62593)."""


def check_runner(runner: str, known: Sequence[str] = RUNNERS) -> None:
    """Raise a UsageError unless a runner of this name exists."""
    if runner not in known:
        raise UsageError(f"no runner is called {runner!r}; {near_names(runner, known)}")


def import_ray(*modules: str, purpose: str) -> list[Any]:
    """Ray and some of its modules.

    Raises:
        MissingDependency: Ray is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing of ours phones home
    os.environ.setdefault("RAY_TRAIN_V2_ENABLED", "1")
    try:
        return [import_module(name) for name in ("ray", *modules)]
    except ImportError:
        raise MissingDependency("ray", extra="cluster", purpose=purpose) from None


def connect(ray: Any, address: str | None = None) -> None:
    """Join a cluster unless this process has joined one.

    Args:
        ray: The module.
        address: Of the cluster; None: that of RAY_ADDRESS, else a new one on this machine.

    Raises:
        ConfigError: The cluster, or this process, does without tokens; or Ray is too old to know them.
        SynsightError: There is no such cluster, or it does not accept our token.
        StorageError: The token could not be written.
    """
    if ray.is_initialized():
        return
    _check_version(str(ray.__version__))
    mode = os.environ.setdefault(MODE, TOKEN)
    if mode.lower() != TOKEN:
        raise ConfigError(
            f"expected {MODE}=token, found {mode!r}: without a token everybody who reaches the cluster may "
            "run any code on it; unset the variable here and on the cluster."
        )
    # Read once by Ray when it is imported, which may have been before the line above.
    import_module("ray._raylet").Config.initialize("")
    address = address or os.environ.get("RAY_ADDRESS") or None
    protect_token(make=address is None)
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.WARNING}
    try:
        if address is None:
            ray.init(address="local", include_dashboard=False, **quiet)
        else:
            ray.init(address=address, **quiet)
    except Exception as error:  # of many kinds, by version
        raise SynsightError(
            f"expected a Ray cluster at {address or 'this machine'}, could not join it ({_line(error)}); "
            "check the address, and that the token of its head is in ~/.ray/auth_token."
        ) from error
    if address is not None:
        _check_cluster(ray, address)


def protect_token(*, make: bool) -> None:
    """See to it that the token of this user is readable by them alone.

    Args:
        make: Write a new one where there is none; Ray's own would be readable by everyone.

    Raises:
        StorageError: The disk refused.
    """
    if os.environ.get("RAY_AUTH_TOKEN"):
        return
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    with disk_errors(path):
        if path.exists():
            path.chmod(0o600)
        elif make:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(file, "w") as opened:
                opened.write(token_hex(32))


def _check_version(version: str) -> None:
    known = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if known < LEAST_VERSION:
        raise ConfigError(
            f"expected Ray {LEAST_VERSION[0]}.{LEAST_VERSION[1]} or newer, found {version}, which lets "
            'everybody in; run: pip install --upgrade "synsight[cluster]"'
        )


def _check_cluster(ray: Any, address: str) -> None:
    """Leave a cluster that lets in whoever comes: a process there tells how it was started."""
    mode = ray.get(ray.remote(num_cpus=0)(_mode_here).remote())
    if mode != TOKEN:
        ray.shutdown()
        raise ConfigError(
            f"{address}: expected a Ray cluster that asks for a token, found one that lets everybody in; "
            f"start its processes with {MODE}=token."
        )


def _mode_here() -> str:
    return os.environ.get(MODE, "").lower()


def _line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]
