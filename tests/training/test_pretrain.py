"""The verb: recipes by name, changes, configs from files, dry runs."""

from pathlib import Path

import pytest
from test_run import weights_hash
from tiny import SETTINGS, tiny_config

from synsight.data.catalog import Catalog
from synsight.errors import ConfigError, UsageError
from synsight.recipes import RECIPES, pretrain
from synsight.training import read_config


def test_a_run_config_repeats_the_run(catalog: Catalog, tmp_path: Path):
    first = pretrain(
        "simclr", data=catalog.path, out=tmp_path / "a", label="kind", **{**SETTINGS, "epochs": "1"}
    )
    second = pretrain(config=tmp_path / "a" / "config.yaml", out=tmp_path / "b")
    assert first.steps == second.steps == 4
    assert weights_hash(tmp_path / "a") == weights_hash(tmp_path / "b")
    assert read_config(tmp_path / "a" / "config.yaml") == read_config(tmp_path / "b" / "config.yaml")


def test_a_run_is_resumed_with_its_own_settings(catalog: Catalog, tmp_path: Path):
    first = pretrain("catlip", data=catalog.path, out=tmp_path / "run", **{**SETTINGS, "epochs": 1})
    assert first.monitor == "none: no label column was named (--label)"
    again = pretrain(out=tmp_path / "run", resume=True)
    assert again.steps == first.steps and again.model == first.model
    with pytest.raises(UsageError, match="this run began with the recipe 'catlip', not 'simclr'"):
        pretrain("simclr", out=tmp_path / "run", resume=True)


def test_a_dry_run_quotes_time_and_memory_and_writes_nothing(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    before = sorted(catalog.path.rglob("*"))
    cost = pretrain(config=tiny_config("simclr", catalog.path, epochs=50), dry_run=True)
    assert cost.steps == 200
    assert cost.total_seconds == pytest.approx(200 * cost.seconds_per_step + cost.monitor_seconds)
    assert cost.images_per_second == pytest.approx(16 / cost.seconds_per_step)
    assert cost.monitor_seconds > 0 and cost.peak_bytes > 50_000_000
    assert (cost.device, cost.precision, cost.workers) == ("cpu", "fp32", 0)
    assert not list(tmp_path.iterdir())
    assert sorted(catalog.path.rglob("*")) == before


def test_what_is_missing_is_asked_for(catalog: Catalog, tmp_path: Path):
    with pytest.raises(UsageError, match=r"no recipe is called 'simclrr'; did you mean .*'simclr'"):
        pretrain("simclrr", data=catalog.path, out=tmp_path / "run")
    with pytest.raises(UsageError, match="pretrain needs a recipe; known: catlip, catlip-cc3m"):
        pretrain(data=catalog.path, out=tmp_path / "run")
    with pytest.raises(UsageError, match="needs a folder for the run; give --out"):
        pretrain("simclr", data=catalog.path)
    with pytest.raises(UsageError, match="needs a catalog; give --data"):
        pretrain("simclr", out=tmp_path / "run")
    with pytest.raises(UsageError, match="no setting is called 'epoch'; did you mean 'epochs'"):
        pretrain("simclr", data=catalog.path, out=tmp_path / "run", epoch=3)
    with pytest.raises(ConfigError, match="expected a run's settings as YAML"):
        pretrain(config=tmp_path / "none.yaml", data=catalog.path, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_batch_larger_than_the_data_is_refused_before_anything_is_trained(catalog: Catalog, tmp_path: Path):
    with pytest.raises(ConfigError, match="batch_size 500 is larger than the 76 rows"):
        pretrain(config=tiny_config("simclr", catalog.path, batch_size=500), out=tmp_path / "run")


def test_a_recipe_fits_its_batch_and_its_length_to_a_small_catalog(catalog: Catalog):
    tiny = {"encoder": SETTINGS["encoder"], "image_size": 16}
    cost = pretrain("simclr", data=catalog.path, dry_run=True, **tiny)
    assert cost.steps == RECIPES["simclr"]().least_steps  # 76 rows are one batch, ten epochs ten steps
    assert pretrain("simclr", data=catalog.path, dry_run=True, epochs=3, **tiny).steps == 3
