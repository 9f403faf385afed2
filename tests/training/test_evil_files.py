"""S1: whatever lies where a run, a model or a catalog expects its files, nothing of it is ever executed.

In the place of each file that is read back stand a pickle, a torch archive, a numpy archive and a YAML
document, each of which leaves a marker behind when something unpickles or constructs it.
"""

import ast
import contextlib
import hashlib
import io
import json
import os
import pickle
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import yaml
from timm.models import save_for_hf
from tiny import make_catalog, tiny_config

import synsight
from synsight.cli import main
from synsight.data.catalog import Catalog
from synsight.errors import SynsightError
from synsight.evaluation import read_predictions, read_results
from synsight.language.vocabulary import load_vocabulary
from synsight.models import load
from synsight.training import train

BETWEEN_PROCESSES = "between_processes.py"
"""The one module that unpickles: what processes of one run send each other, never what a file holds."""
SOURCES = sorted(
    path for path in Path(synsight.__file__).parent.rglob("*.py") if path.name != BETWEEN_PROCESSES
)
FOR_PEOPLE = {"environment.json", "train.log", "report.html", ".lock", "README.md"}
"""Files of a run or a model that nothing reads back."""


class Evil:
    """Leaves a marker when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = str(marker)

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (self.marker,)


def payloads(marker: Path) -> dict[str, bytes]:
    """Name -> bytes that create `marker` when the wrong function reads them."""
    found = {f"pickle {protocol}": pickle.dumps(Evil(marker), protocol) for protocol in (0, 5)}
    archive, array = io.BytesIO(), io.BytesIO()
    torch.save(Evil(marker), archive)
    np.save(array, np.array([Evil(marker)], dtype=object), allow_pickle=True)
    document = f"!!python/object/apply:os.mkdir [{marker}]\n"
    behind_a_header = struct.pack("<Q", 8) + found["pickle 5"]
    return found | {
        "torch": archive.getvalue(),
        "numpy": array.getvalue(),
        "yaml": document.encode(),
        "yaml in a field": f"method: {document}".encode(),
        "safetensors": behind_a_header,
    }


@pytest.fixture
def marker(tmp_path: Path) -> Iterator[Path]:
    """Where evil leaves its mark; there must be none in the end."""
    path = tmp_path / "executed"
    yield path
    assert not path.exists()


def refused(read: Callable[[], object]) -> str:
    """The one sentence by which something is refused."""
    with pytest.raises(SynsightError) as refusal:
        read()
    assert refusal.value.exit_code in (1, 2)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def test_the_payloads_do_work(tmp_path: Path):
    readers = {
        "pickle 0": pickle.loads,
        "pickle 5": pickle.loads,
        "torch": lambda data: torch.load(io.BytesIO(data), weights_only=False),
        "numpy": lambda data: np.load(io.BytesIO(data), allow_pickle=True),
        "yaml": lambda data: yaml.load(data, yaml.UnsafeLoader),
        "yaml in a field": lambda data: yaml.load(data, yaml.UnsafeLoader),
        "safetensors": lambda data: pickle.loads(data[8:]),
    }
    marker = tmp_path / "executed"
    for name, data in payloads(marker).items():
        readers[name](data)
        assert marker.is_dir(), name
        marker.rmdir()


def files_of(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


ROWS = tuple(range(0, 90, 2))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """cat/, run/ (with a checkpoint, on chosen rows) and ev/."""
    folder = tmp_path_factory.mktemp("made")
    make_catalog(folder / "cat", test_every=3)
    train(tiny_config("catlip", folder / "cat", steps=6), out=folder / "run", rows=ROWS)
    synsight.evaluate(
        folder / "run/model",
        data=folder / "cat",
        label="kind",
        out=folder / "ev",
        tasks=("knn",),
        allow_seen=True,  # ROWS are not those of the split
        progress=False,
    )
    return folder


def copied(made: Path, tmp_path: Path, name: str) -> Path:
    shutil.rmtree(tmp_path / name, ignore_errors=True)
    return Path(shutil.copytree(made / name, tmp_path / name))


def test_nothing_that_a_run_reads_back_is_executed(made: Path, tmp_path: Path, marker: Path):
    config = tiny_config("catlip", made / "cat", steps=6)
    read = [one for one in files_of(made / "run") if not one.startswith("model/") and one not in FOR_PEOPLE]
    assert {"config.yaml", "data.json", "rows.json", "checkpoints/last/state.json"} < set(read)
    for file in read:
        for name, data in payloads(marker).items():
            run = copied(made, tmp_path, "run")
            (run / file).write_bytes(data)
            pointer = run / "checkpoints/last/state.json"
            if file.endswith(".safetensors"):  # whoever can write the one can write the other
                sha = {"sha256": hashlib.sha256(data).hexdigest()}
                pointer.write_text(json.dumps(json.loads(pointer.read_text()) | sha))
            if file == "DONE":
                refused(lambda run=run: train(config, out=run, resume=True))
                continue
            (run / "DONE").unlink()
            if file == "metrics.jsonl":  # as after a kill in the middle of a line: what follows is left out
                train(config, out=run, resume=True)
                assert b"mkdir" not in (run / file).read_bytes()
                continue
            message = refused(lambda run=run: train(config, out=run, resume=True))
            assert file == "config.yaml" or file in message, (file, name)


def test_nothing_in_a_model_folder_is_executed(made: Path, tmp_path: Path, marker: Path):
    files = set(files_of(made / "run/model"))
    assert files == {
        "README.md",
        "config.json",
        "model.safetensors",
        "trained_on.parquet",
        "vocabulary.parquet",
    }
    for file in files - FOR_PEOPLE:
        for data in payloads(marker).values():
            run = copied(made, tmp_path, "run")
            (run / "model" / file).write_bytes(data)
            assert file in refused(lambda run=run: load(run / "model"))


def test_nothing_in_an_evaluation_is_executed(made: Path, tmp_path: Path, marker: Path):
    for data in payloads(marker).values():
        folder = copied(made, tmp_path, "ev")
        for file in files_of(folder):
            (folder / file).write_bytes(data)
        assert "results.json" in refused(lambda folder=folder: read_results(folder))
        assert "predictions.parquet" in refused(lambda folder=folder: read_predictions(folder))


def test_nothing_beside_a_catalogs_table_is_executed(made: Path, tmp_path: Path, marker: Path):
    beside = Catalog.open(made / "cat").work_folder.relative_to(made / "cat")
    files = [one for one in files_of(made / "cat") if Path(one).is_relative_to(beside)]
    assert any(one.endswith("vocabulary_synset.parquet") for one in files)
    for file in files:
        for data in payloads(marker).values():
            path = copied(made, tmp_path, "cat")
            (path / file).write_bytes(data)
            code, err = run(["words", path, "--text-columns", "kind", "--min-count", "1"])
            assert code in (0, 1), err  # 0: made anew
            assert run(["catalog", "versions", path])[0] in (0, 1)
            with contextlib.suppress(SynsightError):
                Catalog.open(path).fingerprint()
            if file.endswith("vocabulary_synset.parquet"):
                (path / file).write_bytes(data)
                assert "vocabulary" in refused(lambda path=path: load_vocabulary(Catalog.open(path)))


def run(arguments: list[object]) -> tuple[int, str]:
    """One command: exit code and stderr, which is no traceback."""
    err = io.StringIO()
    with contextlib.redirect_stderr(err), contextlib.redirect_stdout(io.StringIO()):
        code = main([str(one) for one in arguments])
    assert "Traceback" not in err.getvalue(), err.getvalue()
    return code, err.getvalue()


PICKLED = (".bin", ".ckpt", ".joblib", ".npy", ".npz", ".pickle", ".pkl", ".pt", ".pt2", ".pth", ".skops")


@pytest.mark.parametrize("suffix", PICKLED)
def test_pickled_weights_are_no_model_and_the_refusal_names_safetensors(
    suffix: str, tmp_path: Path, marker: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    make_catalog(tmp_path / "cat", rows=4)
    (tmp_path / "layout").mkdir()
    (tmp_path / "layout/config.json").write_text(
        json.dumps({"architecture": "test_vit", "pretrained_cfg": {}})
    )
    for data in payloads(marker).values():
        for file in (f"weights{suffix}", f"layout/pytorch_model{suffix}"):
            (tmp_path / file).write_bytes(data)
        for name in (
            f"weights{suffix}",
            f"{tmp_path}/weights{suffix}",
            f"open-clip:ViT-B-32/{tmp_path}/weights{suffix}",
            "local-dir:layout",
        ):
            code, err = run(["embed", name, "cat"])
            assert code == 1
            assert "safetensors" in err
            assert err.count("\n") == 1


def test_nothing_in_a_folder_of_timms_layout_is_executed(tmp_path: Path, marker: Path):
    save_for_hf(timm.create_model("test_vit", num_classes=2), tmp_path / "sound", safe_serialization=True)
    for file in ("config.json", "model.safetensors"):
        for data in payloads(marker).values():
            folder = copied(tmp_path, tmp_path / "spoiled", "sound")
            (folder / file).write_bytes(data)
            assert file in refused(lambda folder=folder: load(f"local-dir:{folder}"))


def test_a_config_of_timms_cannot_have_another_file_read(tmp_path: Path, marker: Path):
    save_for_hf(timm.create_model("test_vit", num_classes=2), tmp_path / "sound", safe_serialization=True)
    expected = load(f"local-dir:{tmp_path / 'sound'}").digest
    evil = tmp_path / "evil"
    evil.mkdir()
    for file in ("config.json", "pytorch_model.bin", "weights.pt", "weights.npz"):
        torch.save(Evil(marker), evil / file)
    config = json.loads((tmp_path / "sound/config.json").read_text())

    def with_config(**changes: object) -> str:
        (tmp_path / "sound/config.json").write_text(json.dumps(config | changes))
        return f"local-dir:{tmp_path / 'sound'}"

    for argument in (
        "checkpoint_path",
        "pretrained",
        "pretrained_cfg",
        "cache_dir",
        "pretrained_cfg_overlay",
    ):
        name = with_config(model_args={argument: str(evil / "weights.pt")})
        assert argument in refused(lambda name=name: load(name))
    for architecture in (f"local-dir:{evil}", "hf-hub:someone/evil", f"{evil}/weights.pt", ["test_vit"]):
        name = with_config(architecture=architecture)
        assert "architecture" in (message := refused(lambda name=name: load(name))) or "timm" in message
    for place in (
        {"file": str(evil / "weights.pt")},
        {"file": str(evil), "source": "local-dir"},
        {"url": f"file://{evil}/weights.pt", "hf_hub_id": None},
        {"file": str(evil / "weights.npz"), "custom_load": True},
        {"hf_hub_id": "someone/evil", "source": "hf-hub"},
    ):
        # Where the file says that weights are makes no difference: they are those beside it.
        assert load(with_config(pretrained_cfg=config["pretrained_cfg"] | place)).digest == expected


@pytest.mark.parametrize("suffix", [*PICKLED, ".csv", ".jsonl", ".parquet", ".tar"])
def test_a_pickle_is_no_source_of_images(suffix: str, tmp_path: Path, marker: Path):
    for data in payloads(marker).values():
        (tmp_path / f"source{suffix}").write_bytes(data)
        code, err = run(["ingest", tmp_path / f"source{suffix}", "--out", tmp_path / "out"])
        assert code in (1, 2), err
        shutil.rmtree(tmp_path / "out", ignore_errors=True)


FORBIDDEN_MODULES = {
    "pickle",
    "cPickle",
    "_pickle",
    "dill",
    "cloudpickle",
    "joblib",
    "shelve",
    "marshal",
    "skops",
}
FORBIDDEN_NAMES = {"eval", "exec", "compile", "__import__"}
FORBIDDEN_CALLS = {
    *("torch.load", "torch.jit.load", "torch.export.load", "torch.hub.load", "torch.package.PackageImporter"),
    *("yaml.load", "yaml.load_all", "yaml.full_load", "yaml.unsafe_load", "os.system", "os.popen"),
    *("pandas.read_pickle", "pd.read_pickle", "np.loads", "tarfile.extractall"),
}


def problems_in(tree: ast.AST) -> Iterator[str]:
    """What a module does that could run code from a file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names if one.name.split(".")[0] in FORBIDDEN_MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names = {f"{node.module}.{one.name}" for one in node.names}
            yield from names & FORBIDDEN_CALLS
            if node.module.split(".")[0] in FORBIDDEN_MODULES:
                yield node.module
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in FORBIDDEN_NAMES | FORBIDDEN_CALLS:
                yield called
            for keyword in node.keywords:
                allowed = isinstance(keyword.value, ast.Constant) and keyword.value.value is False
                if keyword.arg in ("allow_pickle", "shell", "trust_remote_code") and not allowed:
                    yield f"{called}({keyword.arg})"


def test_no_line_of_the_package_could_run_code_from_a_file():
    assert len(SOURCES) > 50
    users = {path.name for path in SOURCES if "synsight.between_processes" in path.read_text()}
    assert users == {"process_pool.py", "ray_data.py"}
    found = {
        f"{path.name}: {problem}" for path in SOURCES for problem in problems_in(ast.parse(path.read_text()))
    }
    assert not found


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "import joblib.numpy_pickle",
        "from pickle import loads",
        "from torch import load",
        "torch.load(path, weights_only=True)",
        "yaml.load(text, yaml.SafeLoader)",
        "eval(text)",
        "exec(text)",
        "np.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=chosen)",
        "subprocess.run(text, shell=True)",
    ],
)
def test_such_a_line_would_be_found(line: str):
    assert list(problems_in(ast.parse(line)))
