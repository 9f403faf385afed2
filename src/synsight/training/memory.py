"""Memory that a run has freed goes back to the system, so that many runs fit into one process."""

import ctypes
import sys
from contextlib import suppress


def give_back() -> None:
    """Hand freed memory back, where the C library can be told to (glibc).

    A run frees all that it made, but in pieces, from several threads and with small things of others between:
    glibc keeps such pieces for later.
    """
    if sys.platform == "linux":
        with suppress(AttributeError):  # another C library than glibc
            ctypes.CDLL(None).malloc_trim(0)
