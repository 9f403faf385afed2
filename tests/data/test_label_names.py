"""What labels are called: as a user reads them in the table, and the same for every reader."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synsight.data.label_names import label_name, label_names
from synsight.errors import DataError


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (pa.array(["a", "", None, "b"]), ["a", None, None, "b"]),
        (pa.array([3, None, -1]), ["3", None, "-1"]),
        (pa.array([True, None, False]), ["True", None, "False"]),
        (pa.array([1.0, float("nan"), None, 2.0]), ["1", None, None, "2"]),
        (pa.array(["x", "y", None, "x"]).dictionary_encode(), ["x", "y", None, "x"]),
        (pa.array([7, 7, None], pa.int8()).dictionary_encode(), ["7", "7", None]),
        (pa.array([None, None]), [None, None]),
        (pa.chunked_array([], pa.string()), []),
        (pa.chunked_array([["a"], [], ["b", None]]), ["a", "b", None]),
    ],
    ids=lambda one: str(getattr(one, "type", "")),
)
def test_labels_are_called_as_the_table_shows_them(values, names):
    assert label_names(values, where="cat: column 'kind'").to_pylist() == names


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (pa.array([1.0, 0.25]), "double; labels must be strings or integers, and 0.25 is a measurement"),
        (pa.array([1.0, float("inf")]), "inf is a measurement"),
        (pa.array([["a", "b"]]), "list<item: string>, where one label a row is expected"),
        (pa.array([b"a"]), "binary; labels must be strings or integers"),
    ],
    ids=["measured", "infinite", "list", "bytes"],
)
def test_what_is_no_label_is_named_with_its_column(values, told):
    with pytest.raises(DataError, match="cat: column 'kind' holds ") as raised:
        label_names(values, where="cat: column 'kind'")
    assert told in str(raised.value)


@given(st.lists(st.none() | st.booleans()) | st.lists(st.none() | st.integers(-(2**40), 2**40)))
def test_a_column_and_its_single_values_are_spelt_alike(values):
    found = label_names(pa.array(values), where="x").to_pylist()
    assert found == [label_name(one) for one in values]
