import json
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synsight.evaluation import PREDICTIONS
from synsight.evaluation.storage import RESULTS
from synsight.records import PATH_FIELDS, Example, Gate, Prediction, Result, as_json, config_hash

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5).filter(lambda name: name not in PATH_FIELDS), inner, max_size=3)
    ),
    max_leaves=10,
)


def result(**changes):
    return Result(model="m", dataset="d", task="knn", metric="acc1", value=0.5, **changes)


def test_a_record_comes_back_from_its_json():
    one = result(ci_low=0.4, ci_high=0.6, n_labels=10, details={"k": 20, "classes": ["あ", "b"]})
    assert Result(**json.loads(json.dumps(as_json(one)))) == one


def test_json_has_the_fields_in_their_order_and_plain_numbers():
    row = as_json(result(details={"C": np.float32(0.5), "k": np.int64(3), "picture": b"abc"}))
    assert list(row) == [field.name for field in fields(Result)]
    assert row["details"] == {"C": 0.5, "k": 3, "picture": "3 bytes"}


def test_nested_records_and_bytes_become_json():
    gate = Gate(name="data", go=True, sentence="go", checks=[("rows", "9", True)])
    assert as_json(gate)["checks"] == [["rows", "9", True]]
    assert as_json(Example(id="a", thumbnail=b"1234", caption=None))["thumbnail"] == "4 bytes"


def test_tables_hold_exactly_the_fields_of_their_records():
    assert RESULTS.names == [field.name for field in fields(Result)]
    assert PREDICTIONS.names == [field.name for field in fields(Prediction)]


@given(st.dictionaries(st.text(max_size=5), plain, max_size=4))
def test_hash_knows_no_order_of_keys_and_no_paths(config):
    config = {key: value for key, value in config.items() if key not in PATH_FIELDS}
    turned = dict(reversed(list(config.items())))
    assert config_hash(config) == config_hash(turned) == config_hash({**config, "out": "/a", "data": "b"})
    assert config_hash({"inner": config}) == config_hash({"inner": {**config, "path": "/c"}})


@pytest.mark.parametrize("other", [{"lr": 0.2, "epochs": 3}, {"lr": 0.1, "epochs": 4}, {"lr": 0.1}, {}])
def test_other_settings_have_another_hash(other):
    assert config_hash({"lr": 0.1, "epochs": 3}) != config_hash(other)
