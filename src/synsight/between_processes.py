"""Objects on their way between processes that belong to one run; the only place that unpickles.

What comes from a file, a network address or a user is never read here: pickles can run code. Both ends are
this package, started by the same person; between machines the cluster's token stands before the port.
"""

import pickle
from typing import Any


def packed(value: object) -> bytes:
    """An object as bytes; raises whatever the object's own pickling raises."""
    return pickle.dumps(value)


def unpacked(data: Any) -> Any:
    """The object back, in the process that was meant.

    Args:
        data: Bytes, or a buffer of them, made by `packed` or by Ray's own pickling of our objects.
    """
    return pickle.loads(data)  # noqa: S301  see above
