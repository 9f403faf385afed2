"""`--runner` and `--address`, alike on all verbs that work in stages."""

import pytest

from synsight.data.catalog import Catalog


@pytest.fixture
def own(run, source, tmp_path):
    code, _, err = run("ingest", source, "--out", tmp_path / "cat")
    assert code == 0, err
    return tmp_path / "cat"


def test_processes_find_the_words_that_threads_find(run_json, own):
    here = run_json("words", own, "--min-count", 2)
    table = Catalog.open(own).table(["words_synset"])
    Catalog.open(own).work_folder.rename(own / "aside")
    assert run_json("words", own, "--min-count", 2, "--runner", "processes") == here
    assert Catalog.open(own).table(["words_synset"]).equals(table)


@pytest.mark.parametrize(
    "verb",
    [
        ["ingest", "x", "--out"],
        ["words"],
        ["audit", "--out", "audit"],
        ["repair"],
        ["embed", "random:resnet10t"],
    ],
    ids=lambda v: v[0],
)
def test_a_misspelt_runner_and_an_address_without_a_cluster_are_wrong_usage(run, verb, tmp_path):
    code, _, err = run(*verb, tmp_path / "cat", "--runner", "rai")
    assert (code, "did you mean 'ray'?" in err) == (2, True)
    code, _, err = run(*verb, tmp_path / "cat", "--address", "10.0.0.1:6379")
    assert (code, "add --runner ray" in err) == (2, True)
