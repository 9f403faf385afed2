"""Which clusters are joined, and how; on a Ray that is made up."""

import stat
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from synsight import stages
from synsight.errors import ConfigError, MissingDependency, SynsightError, UsageError
from synsight.ray_cluster import connect, protect_token


class FakeRay:
    """A Ray whose cluster was started with `mode`."""

    __version__ = "2.60.0"

    def __init__(self, mode: str = "token") -> None:
        self.mode, self.joined, self.left = mode, [], False

    def is_initialized(self) -> bool:
        return False

    def init(self, **settings: Any) -> None:
        self.joined.append(settings)

    def remote(self, **_: Any) -> Any:
        return lambda function: SimpleNamespace(remote=lambda: None)

    def get(self, _: Any) -> str:
        return self.mode

    def shutdown(self) -> None:
        self.left = True


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    raylet = ModuleType("ray._raylet")
    raylet.__dict__["Config"] = SimpleNamespace(initialize=lambda _: None)
    monkeypatch.setitem(sys.modules, "ray._raylet", raylet)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RAY_AUTH_MODE", "x")  # so that what connect sets is forgotten after the test
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_a_cluster_of_our_own_has_a_token_and_no_dashboard(home: Path):
    ray = FakeRay()
    connect(ray)
    assert (ray.joined[0]["address"], ray.joined[0]["include_dashboard"]) == ("local", False)
    token = home / ".ray" / "auth_token"
    assert len(token.read_text()) == 64
    assert stat.S_IMODE(token.stat().st_mode) == 0o600


def test_a_token_that_others_can_read_is_closed_to_them_and_kept(home: Path):
    token = home / ".ray" / "auth_token"
    token.parent.mkdir()
    token.write_text("mine")
    token.chmod(0o644)
    protect_token(make=True)
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert token.read_text() == "mine"


def test_no_token_is_made_up_for_a_cluster_that_has_its_own(home: Path):
    connect(FakeRay(), "10.0.0.1:6379")
    assert not (home / ".ray").exists()


def test_without_tokens_nothing_is_joined(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    ray = FakeRay()
    with pytest.raises(ConfigError, match="expected RAY_AUTH_MODE=token, found 'disabled'"):
        connect(ray)
    assert ray.joined == []


def test_a_cluster_that_lets_everybody_in_is_left_at_once(home: Path):
    ray = FakeRay(mode="")
    with pytest.raises(ConfigError, match="found one that lets everybody in"):
        connect(ray, "10.0.0.1:6379")
    assert ray.left


def test_a_ray_too_old_for_tokens_is_refused(home: Path):
    ray = FakeRay()
    ray.__version__ = "2.9.3"
    with pytest.raises(ConfigError, match=r"expected Ray 2\.52 or newer, found 2\.9\.3"):
        connect(ray)


def test_a_cluster_that_is_not_there_is_one_sentence(home: Path, monkeypatch: pytest.MonkeyPatch):
    ray = FakeRay()

    def refuse(**_: Any) -> None:
        raise ConnectionError("no such host\nand much more")

    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(SynsightError, match=r"at 10\.0\.0\.1:6379, could not join it \(no such host\)"):
        connect(ray, "10.0.0.1:6379")


def test_flags_name_a_runner():
    assert stages.runner() is None
    with pytest.raises(UsageError, match="did you mean 'ray'"):
        stages.runner("rai")
    with pytest.raises(UsageError, match="add --runner ray"):
        stages.runner(address="10.0.0.1:6379")


@pytest.mark.skipif(find_spec("ray") is not None, reason="ray is installed")
def test_without_ray_the_sentence_says_how_to_get_it():
    with pytest.raises(MissingDependency, match=r"synsight\[cluster\]"):
        stages.runner("ray")
