"""Configs to and from plain values, and changes by dotted path."""

from pathlib import Path

import pytest
import yaml

from synsight.errors import ConfigError, UsageError
from synsight.recipes import RECIPES, catlip, simclr
from synsight.training.config import from_mapping, read_config, to_yaml, write_config
from synsight.training.settings import override, paths, to_plain


@pytest.mark.parametrize("recipe", sorted(RECIPES))
def test_a_written_config_reads_back_as_the_same_run(recipe: str, tmp_path: Path):
    config = override(RECIPES[recipe](), {"label": "kind", "data": "cat"})
    write_config(tmp_path / "config.yaml", config)
    assert read_config(tmp_path / "config.yaml") == config
    assert set(yaml.safe_load(to_yaml(config))) == set(config.__dataclass_fields__)


def test_strings_from_a_command_line_take_the_type_of_their_field():
    config = override(
        simclr(),
        {
            "optim.lr": "1e-3",
            "epochs": "5",
            "steps": "none",
            "optim.betas": "0.8,0.95",
            "label": "kind",
            "method.temperature": "0.5",
            "precision": "fp32",
        },
    )
    assert config.optim.lr == 1e-3
    assert config.epochs == 5 and isinstance(config.epochs, int)
    assert config.steps is None
    assert config.optim.betas == (0.8, 0.95)
    assert config.label == "kind"
    assert config.method.temperature == 0.5
    assert config.precision == "fp32"
    assert override(config, {"label": "none"}).label is None


def test_the_exponent_that_yaml_reads_as_text_is_a_number():
    plain = yaml.safe_load(to_yaml(simclr()).replace("lr: 0.001", "lr: 1e-3"))
    assert plain["optim"]["lr"] == "1e-3" or plain["optim"]["lr"] == simclr().optim.lr
    assert from_mapping(plain).optim.lr == simclr().optim.lr


@pytest.mark.parametrize(
    ("path", "near"),
    [("optim.lrr", "optim.lr"), ("epoch", "epochs"), ("method.temprature", "method.temperature")],
)
def test_an_unknown_setting_names_the_near_ones(path: str, near: str):
    with pytest.raises(UsageError, match=f"no setting is called '{path}'; did you mean .*'{near}'"):
        override(simclr(), {path: "1"})


def test_a_group_of_settings_is_not_a_setting():
    with pytest.raises(UsageError, match="no setting is called 'optim'"):
        override(simclr(), {"optim": "1"})


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("optim.lr", "fast", "optim.lr: expected a number, got 'fast'"),
        ("epochs", "2.5", "epochs: expected a whole number, got '2.5'"),
        ("precision", "fp8", "precision: expected one of auto, bf16, fp32; got 'fp8'"),
        ("optim.betas", "0.9", "optim.betas: expected 2 values, got 1"),
        ("method.name", "simclrr", "method.name: 'simclrr' is unknown; did you mean 'simclr'"),
    ],
)
def test_a_value_of_another_type_is_refused(path: str, value: str, sentence: str):
    with pytest.raises(UsageError) as caught:
        override(simclr(), {path: value})
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"optim.lr": 0}, "optim.lr must be > 0; got 0.0"),
        ({"batch_size": 1}, "batch_size must be at least 2; got 1"),
        ({"monitor.where": "split = 'test'"}, "monitor.where must not read the test rows"),
        ({"method.temperature": -1}, "method.temperature must be > 0; got -1.0"),
        ({"views.count": 1}, "views.count must be 2 for simclr; got 1"),
        ({"schedule.warmup": 1.5}, "schedule.warmup is a share"),
    ],
)
def test_a_setting_out_of_its_range_is_refused(changes: dict[str, object], sentence: str):
    with pytest.raises(ConfigError) as caught:
        override(simclr(), changes)
    assert sentence in str(caught.value)


def test_every_path_of_a_config_can_be_overridden_with_its_own_value():
    config = override(catlip(), {"label": "kind"})
    assert override(config, paths(config)) == config
    assert override(config, {path: _text(value) for path, value in paths(config).items()}) == config
    assert to_plain(config)["method"]["name"] == "catlip"


def _text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
