"""Which rows of a batch are no negatives of each other, against a loop over all pairs."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from synsight.data.batches import Batch
from synsight.distributed import World
from synsight.methods.related import related_rows


def by_hand(positions: list[int], partners: list[int], neighbours: list[list[int]]) -> set[tuple[int, int]]:
    shown = [{first, second} for first, second in zip(positions, partners, strict=True)]
    near = [{one for one in found if one >= 0} | mine for found, mine in zip(neighbours, shown, strict=True)]
    count = len(positions)
    return {
        (i, j)
        for i in range(count)
        for j in range(count)
        if i != j and (near[i] & shown[j] or near[j] & shown[i])
    }


@given(data=st.data(), batch=st.integers(2, 9), k=st.integers(1, 4))
@settings(max_examples=200, deadline=None)
def test_pairs_are_those_of_a_loop_over_all_pairs(data, batch, k):
    identity = st.integers(0, 15)
    positions = data.draw(st.lists(identity, min_size=batch, max_size=batch, unique=True))
    partners = data.draw(st.lists(identity, min_size=batch, max_size=batch))
    lists = st.lists(st.integers(-1, 15), min_size=k, max_size=k)
    neighbours = data.draw(st.lists(lists, min_size=batch, max_size=batch))
    found = related_rows(
        Batch(
            views=(),
            positions=torch.tensor(positions),
            partners=torch.tensor(partners),
            neighbours=torch.tensor(neighbours),
        ),
        World(),
    )
    pairs = list(zip(*(side.tolist() for side in found), strict=True))
    assert len(set(pairs)) == len(pairs)
    assert set(pairs) == by_hand(positions, partners, neighbours)
