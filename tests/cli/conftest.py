"""The program as a function, and what its verbs have made of a small source."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from small_source import TINY, small_table

from synsight.cli import main


@pytest.fixture(scope="session")
def source(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("source") / "small.parquet"
    pq.write_table(small_table(), path)
    return path


@pytest.fixture(scope="session")
def catalog(source, tmp_path_factory) -> Path:
    """Ingested, with words."""
    path = tmp_path_factory.mktemp("catalog") / "cat"
    assert main(["ingest", str(source), "--out", str(path)]) == 0
    assert main(["words", str(path), "--text-columns", "caption,keywords", "--min-count", "2"]) == 0
    return path


@pytest.fixture(scope="session")
def trained(catalog, tmp_path_factory) -> Path:
    """A CatLIP run of four steps."""
    out = tmp_path_factory.mktemp("runs") / "run"
    assert main(["pretrain", "catlip", "--data", str(catalog), "--out", str(out), "--steps", "4", *TINY]) == 0
    return out


@pytest.fixture
def run(capsys):
    """Run one command: its exit code, stdout and stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([str(one) for one in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.fixture
def run_json(run):
    """Run one command with --json: the one JSON value it prints."""

    def call(*arguments: object):
        code, out, err = run(*arguments, "--json")
        assert code == 0, err
        assert out.count("\n") == 1
        return json.loads(out)

    return call
