"""Random state as a pure function of names and numbers, so that nothing depends on who asked first."""

import hashlib
import random

import numpy as np


def derive_seed(*parts: object) -> int:
    """A 63-bit seed from any parts, as `derive_seed(seed, "views", epoch, row)`.

    Stable over processes, machines and Python versions (`hash()` is not).
    """
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy's global state and torch (all devices)."""
    import torch  # here, so that those who only draw numbers do without its half a gigabyte

    random.seed(derive_seed(seed, "python"))
    np.random.seed(derive_seed(seed, "numpy") % 2**32)  # noqa: NPY002  libraries read the global state
    torch.manual_seed(derive_seed(seed, "torch"))


def generator(*parts: object) -> np.random.Generator:
    """A NumPy generator that depends on the parts alone."""
    return np.random.default_rng(derive_seed(*parts))
