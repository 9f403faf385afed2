"""Runs on a Ray cluster: the wiring on a Ray that is made up, and the real one where it is installed."""

import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from test_processes import VIT, losses
from tiny import tiny_config

from synsight.data.catalog import Catalog
from synsight.errors import ConfigError, DataError, MissingDependency, TrainingError, UsageError
from synsight.recipes import pretrain
from synsight.training import ray_runner, train
from synsight.training.ray_runner import RESTARTS, train_on_ray

WORLD = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


class FakeRay:
    """One machine that runs what a trainer is given in this process, and starts it again when it fails."""

    def __init__(self, nodes: list[dict[str, float]]) -> None:
        self.nodes = nodes
        self.settings: dict[str, Any] = {}
        self.attempts = 0
        self.before: Callable[[int], None] = lambda attempt: None

    def modules(self) -> dict[str, ModuleType]:
        ray, ray_train = ModuleType("ray"), ModuleType("ray.train")
        ray.__dict__.update(
            is_initialized=lambda: True,
            nodes=lambda: [{"Alive": True, "Resources": one} for one in self.nodes],
            util=SimpleNamespace(get_node_ip_address=lambda: "127.0.0.1"),
        )
        context = SimpleNamespace(
            get_world_rank=lambda: 0,
            get_world_size=lambda: 1,
            get_local_rank=lambda: 0,
            get_local_world_size=lambda: 1,
        )
        ray_train.__dict__.update(
            get_context=lambda: context,
            backend=SimpleNamespace(Backend="no process group"),
            ScalingConfig=dict,
            RunConfig=dict,
            FailureConfig=dict,
        )
        torch, collective = ModuleType("ray.train.torch"), ModuleType("ray.train.collective")
        torch.__dict__.update(TorchTrainer=self.trainer, TorchConfig=type("TorchConfig", (), {}))
        collective.__dict__["broadcast_from_rank_zero"] = lambda data: data
        found = (ray, ray_train, torch, collective)
        return {module.__name__: module for module in found}

    def trainer(self, function: Callable[[Any], None], **settings: Any) -> Any:
        self.settings = settings

        def fit() -> None:
            for _ in range(settings["run_config"]["failure_config"]["max_failures"] + 1):
                self.attempts += 1
                try:
                    self.before(self.attempts)
                    function(settings["train_loop_config"])
                    return
                except Exception as error:
                    last = error
            raise RuntimeError("workers failed") from last

        return SimpleNamespace(fit=fit)


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> FakeRay:
    for name in WORLD:
        monkeypatch.setenv(name, "1")  # so that what a process is told is forgotten after the test
    fake = FakeRay([{"CPU": 4.0}])
    for name, module in fake.modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    return fake


def test_a_run_on_a_cluster_is_the_run_itself(catalog: Catalog, tmp_path: Path, ray: FakeRay):
    config = tiny_config("catlip", catalog.path, steps=3)
    alone = train(config, out=tmp_path / "alone")
    summary = train_on_ray(config, out=tmp_path / "run", workers=2)
    assert losses(tmp_path / "run") == losses(tmp_path / "alone")
    assert (summary.steps, summary.run) == (alone.steps, str(tmp_path / "run"))
    assert ray.settings["torch_config"].backend_cls == "no process group"
    scaling = ray.settings["scaling_config"]
    assert scaling == {"num_workers": 2, "use_gpu": False, "resources_per_worker": {"CPU": 2}}


def test_the_verb_hands_a_run_to_the_cluster(catalog: Catalog, tmp_path: Path, ray: FakeRay):
    config = tiny_config("catlip", catalog.path, steps=1)
    pretrain(config=config, out=tmp_path / "run", runner="ray", workers_per_run=2)
    assert ray.settings["scaling_config"]["num_workers"] == 2


def test_lost_processes_are_started_again_and_go_on(catalog: Catalog, tmp_path: Path, ray: FakeRay):
    def lose(attempt: int) -> None:
        if attempt == 1:
            raise ConnectionError("a machine is gone")

    ray.before = lose
    train_on_ray(tiny_config("catlip", catalog.path, steps=2), out=tmp_path / "run")
    assert ray.attempts == 2


def test_what_the_user_must_mend_is_said_once_and_not_tried_again(
    catalog: Catalog, tmp_path: Path, ray: FakeRay
):
    config = tiny_config("catlip", catalog.path, words="unheard")
    with pytest.raises(DataError, match="unheard"):
        train_on_ray(config, out=tmp_path / "run")
    assert ray.attempts == 2  # the second saw the note


def test_a_cluster_that_loses_every_attempt_is_told_apart(catalog: Catalog, tmp_path: Path, ray: FakeRay):
    def lose(attempt: int) -> None:
        raise ConnectionError("a machine is gone")

    ray.before = lose
    with pytest.raises(TrainingError, match="--resume"):
        train_on_ray(tiny_config("catlip", catalog.path), out=tmp_path / "run")
    assert ray.attempts == RESTARTS + 1


def test_a_folder_with_something_in_it_is_refused_before_the_cluster_is_asked(
    catalog: Catalog, tmp_path: Path, ray: FakeRay
):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(TrainingError, match="expected an empty or new folder"):
        train_on_ray(tiny_config("catlip", catalog.path), out=tmp_path)
    assert ray.attempts == 0


@pytest.mark.parametrize(
    ("nodes", "workers", "expected"),
    [
        ([{"CPU": 4.0}], 1, {"CPU": 4}),
        ([{"CPU": 4.0}], 3, {"CPU": 1}),
        ([{"CPU": 3.0}, {"CPU": 3.0}], 3, {"CPU": 1}),  # two of 2 would fit, the third nowhere
        ([{"CPU": 8.0, "GPU": 2.0}, {"CPU": 16.0}], 2, {"CPU": 4, "GPU": 1}),
        ([{"CPU": 8.0, "GPU": 1.0}, {"CPU": 2.0, "GPU": 1.0}], 2, {"CPU": 2, "GPU": 1}),
    ],
)
def test_each_process_gets_what_all_can_have(
    nodes: list[dict[str, float]], workers: int, expected: dict[str, float]
):
    assert ray_runner._share(nodes, workers) == expected


@pytest.mark.parametrize("node", [{"CPU": 1.0}, {"CPU": 4.0, "GPU": 1.0}])
def test_a_cluster_that_is_too_small_is_refused(node: dict[str, float]):
    with pytest.raises(ConfigError, match="2 processes"):
        ray_runner._share([node], 2)


def test_several_processes_without_a_cluster_are_for_torchrun(catalog: Catalog, tmp_path: Path):
    config = tiny_config("catlip", catalog.path)
    with pytest.raises(UsageError, match="torchrun --nproc-per-node 2"):
        pretrain(config=config, out=tmp_path / "run", workers_per_run=2)
    with pytest.raises(UsageError, match="did you mean 'ray'"):
        pretrain(config=config, out=tmp_path / "run", runner="rai")


@pytest.mark.skipif(find_spec("ray") is not None, reason="ray is installed")
def test_without_ray_the_sentence_says_how_to_get_it(catalog: Catalog, tmp_path: Path):
    with pytest.raises(MissingDependency, match=r"synsight\[cluster\]"):
        train_on_ray(tiny_config("catlip", catalog.path), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.fixture
def cluster() -> Iterator[Any]:
    ray = pytest.importorskip("ray", reason="ray is not installed")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield ray
    ray.shutdown()


def test_two_processes_of_a_real_cluster_have_the_losses_of_one(
    catalog: Catalog, tmp_path: Path, cluster: Any
):
    config = tiny_config("catlip", catalog.path, **VIT, steps=6)
    train(config, out=tmp_path / "one")
    summary = train_on_ray(config, out=tmp_path / "two", workers=2)
    assert summary.steps == 6
    np.testing.assert_allclose(losses(tmp_path / "two"), losses(tmp_path / "one"), rtol=1e-5)
    with pytest.raises(DataError, match="unheard"):  # an error of a process is told as it is
        train_on_ray(tiny_config("catlip", catalog.path, words="unheard"), out=tmp_path / "wrong", workers=2)
