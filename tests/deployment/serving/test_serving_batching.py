"""Batches: whole, in order, never waiting for nobody."""

import asyncio
import time

import pytest

from synsight.deployment.serving.batching import Batcher


def run(test):
    return asyncio.run(test)


def test_each_gets_its_own_answer_and_batches_are_bounded():
    sizes = []

    async def test():
        def double(batch):
            time.sleep(0.01)
            return [2 * one for one in batch]

        async with Batcher(double, most=4, wait_seconds=0.01, observe=sizes.append) as batcher:
            return await asyncio.gather(*(batcher.ask(number) for number in range(21)))

    assert run(test()) == [2 * number for number in range(21)]
    assert max(sizes) == 4 and sum(sizes) == 21


def test_one_alone_does_not_wait_and_the_expected_are_waited_for():
    sizes = []

    async def test():
        async with Batcher(list, most=8, wait_seconds=5, observe=sizes.append) as batcher:
            started = time.perf_counter()
            await batcher.ask(1)
            alone = time.perf_counter() - started
            with batcher.expecting():
                first = batcher.ask(1)
                await asyncio.sleep(0.05)
                second = batcher.ask(2)
            await asyncio.gather(first, second)
        return alone

    assert run(test()) < 4
    assert sizes == [1, 2]


def test_those_on_their_way_are_not_waited_for_without_end():
    async def test():
        async with Batcher(list, most=8, wait_seconds=0.02) as batcher:
            with batcher.expecting():
                return await asyncio.wait_for(batcher.ask(7), 10)

    assert run(test()) == 7


def test_a_batch_that_fails_fails_for_its_own_and_the_next_is_computed():
    async def test():
        def fussy(batch):
            if 13 in batch:
                raise ValueError("13")
            return batch

        async with Batcher(fussy, most=1, wait_seconds=0) as batcher:
            found = await asyncio.gather(*(batcher.ask(n) for n in (1, 13, 2)), return_exceptions=True)
        assert [found[0], found[2]] == [1, 2]
        raise found[1]

    with pytest.raises(ValueError, match="13"):
        run(test())


def test_one_who_left_is_skipped():
    async def test():
        async with Batcher(list, most=8, wait_seconds=0.01) as batcher:
            left, stays = batcher.ask(1), batcher.ask(2)
            left.cancel()
            return await stays

    assert run(test()) == 2
