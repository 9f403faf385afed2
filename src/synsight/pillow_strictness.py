"""Pillow tolerates a cut-off image when anything in the process has asked it to; the gate never does.

`ImageFile.LOAD_TRUNCATED_IMAGES` is one switch for the whole process. Notebooks set it, and so do packages
while they are imported: a process that wrote one PDF would from then on take half an image for a whole one.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from PIL import ImageFile


@dataclass
class _Switch:
    """How many decoders are at work, and what the switch stood at before the first of them."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    decoders: int = 0
    before: bool = False

    def forget(self) -> None:
        """In a forked child, where other threads' decoders and a lock that one of them held have no end."""
        if self.decoders:
            ImageFile.LOAD_TRUNCATED_IMAGES = self.before
        self.lock, self.decoders = threading.Lock(), 0


_switch = _Switch()
os.register_at_fork(after_in_child=_switch.forget)


@contextmanager
def cut_images_refused() -> Iterator[None]:
    """Inside, Pillow raises for an image without its end; afterwards the process's switch is as it was.

    Threads may be inside together: the first throws the switch and the last puts it back.
    """
    with _switch.lock:
        if not _switch.decoders:
            _switch.before = ImageFile.LOAD_TRUNCATED_IMAGES
            ImageFile.LOAD_TRUNCATED_IMAGES = False
        _switch.decoders += 1
    try:
        yield
    finally:
        with _switch.lock:
            _switch.decoders -= 1
            if not _switch.decoders:
                ImageFile.LOAD_TRUNCATED_IMAGES = _switch.before
