"""The soaks' instrument: a leak raises every step, a library's pool a few."""

import pytest

from watching import Looks, rise


def looks(*, leak: float = 0, jumps: int = 0) -> Looks:
    found = Looks()
    for number in range(100):
        late = jumps * (number >= 40)
        found.memory.append(round(10**9 * (1 + leak * number / 100)) + late)
        found.files.append(10 + round(100 * leak * number / 100) + late)
        found.threads.append(20 + round(100 * leak * number / 100) + late)
    return found


def test_a_leak_is_seen_and_a_pool_that_grows_once_is_not():
    looks().check()
    looks(jumps=2).check()
    with pytest.raises(AssertionError, match=r"% of 1,\d+,\d+,\d+ bytes"):
        looks(leak=0.2).check()


def test_a_thread_a_run_is_a_leak():
    found = looks()
    found.threads = list(range(20, 120))
    with pytest.raises(AssertionError, match="threads, one look after the other"):
        found.check()
    found.threads = [24] * 40 + [29] * 30 + [32] * 30
    found.check()
    assert rise(found.threads) == 0
    assert rise(range(100)) == pytest.approx(72)


def test_files_that_stay_open_are_a_leak():
    found = looks()
    found.files = list(range(100))
    with pytest.raises(AssertionError, match="files became"):
        found.check()
