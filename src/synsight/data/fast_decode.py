"""The same pixels as `images.decode_image` gives, to the bit, sooner.

A JPEG goes to libjpeg-turbo without Pillow's detour over four-byte pixels (simplejpeg, of the extra `fast`),
and only down to the last row that is wanted. Pillow opens what is not an ordinary JPEG and judges what
simplejpeg finds fault with, so that a file is accepted or refused, and for the reason, as ever.
"""

import struct

import numpy as np
from PIL import Image

from synsight.data.image_bytes import jpeg_frame
from synsight.data.images import (
    ImageHeader,
    ImageLimits,
    Pixels,
    admitted_format,
    decoder_errors,
    jpeg_shrink,
    loaded_image,
    open_admitted,
    refuse_many_pixels,
    turn_of,
)

MOST_SHRINK = 8
"""libjpeg decodes at 1/1, 1/2, 1/4 and 1/8 in one pass."""

ROWS_OF_BLOCKS = 32
"""Rows of pixels that libjpeg decodes together, at most: four blocks of eight."""

SIDEWAYS = {
    Image.Transpose.TRANSPOSE,
    Image.Transpose.ROTATE_270,
    Image.Transpose.TRANSVERSE,
    Image.Transpose.ROTATE_90,
}


def decode_pixels(data: bytes, *, limits: ImageLimits | None = None, shrink_to: int | None = None) -> Pixels:
    """`decode_image` as an array of its own, [H, W, 3] uint8; same arguments, same errors."""
    return Undecoded(data, limits=limits, shrink_to=shrink_to).pixels()


class Undecoded:
    """An image of which only the upright size is known.

    A JPEG's pixels wait until it is decided how small they may come and how many rows are wanted; other
    formats know no scales, and some tell their size truly only when they are decoded, so they are.

    Args:
        data: The file's bytes.
        limits: What the image may cost.
        shrink_to: As of `decode_image`; `width` and `height` are those after this shrinking.

    Raises:
        ImageError: As `decode_image`.
    """

    def __init__(
        self, data: bytes, *, limits: ImageLimits | None = None, shrink_to: int | None = None
    ) -> None:
        limits = limits or ImageLimits()
        name = admitted_format(data, limits)
        self._data, self._limits = data, limits
        self._decoded: Pixels | None = None
        self._frame = jpeg_frame(data) if name == "jpeg" else None
        self._turn: Image.Transpose | None = None
        self._by_turbo = True
        if self._frame is not None and self._frame.ordinary:
            self._header = ImageHeader(name, self._frame.width, self._frame.height)
            refuse_many_pixels(self._frame.width, self._frame.height, limits)
        else:
            self._open(name)
        self._base = jpeg_shrink(self._header, shrink_to)
        self.most_shrink = MOST_SHRINK // self._base
        self.width, self.height = self._stored_size(1)
        if self._turn in SIDEWAYS:
            self.width, self.height = self.height, self.width
        if self._decoded is not None:
            self.most_shrink = 1
            self.height, self.width = self._decoded.shape[:2]

    def pixels(self, *, shrink: int = 1, rows: int | None = None) -> Pixels:
        """[H, W, 3] uint8, writable.

        Args:
            shrink: Times by which it comes smaller than `height` and `width` (rounded up): a power of 2, at
                most `most_shrink`.
            rows: How many rows of the result are wanted; those below may be missing. None: all.

        Raises:
            ImageError: The pixels turn out cut off or broken.
        """
        if self._decoded is not None:
            return self._decoded
        pixels = self._by_simplejpeg(shrink, rows)
        return self._by_pillow(shrink) if pixels is None else pixels

    def _open(self, name: str) -> None:
        """Let Pillow read the header, and the pixels of what is no JPEG."""
        self._header, image = open_admitted(name, self._data, self._limits)
        if name == "jpeg":
            self._turn, self._by_turbo = turn_of(image), image.mode in ("RGB", "L")
        else:
            with decoder_errors(name):
                self._decoded = np.array(loaded_image(image))

    def _by_simplejpeg(self, shrink: int, rows: int | None) -> Pixels | None:
        """None: not installed, CMYK, or something is wrong with the file, which Pillow shall judge."""
        try:
            from simplejpeg import decode_jpeg
        except ImportError:
            return None
        if not self._by_turbo:
            return None
        times, (width, height) = self._base * shrink, self._stored_size(shrink)
        if times > 1 and min(width, height) < 8:
            return None  # simplejpeg knows more scales, and goes by the size, which is then the same for two
        least = {"min_width": width, "min_height": height} if times > 1 else {}
        data, strict = self._data, True
        if rows is not None and self._frame is not None and self._frame.sequential and self._turn is None:
            kept = _kept_rows(rows, times)
            if kept < self._header.height:
                place = self._frame.place
                data = b"".join((data[:place], struct.pack(">H", kept), data[place + 2 :]))
                strict = False  # it warns of the bytes that are left over
                least |= {"min_height": kept // times} if times > 1 else {}
        try:
            pixels: Pixels = decode_jpeg(data, strict=strict, **least)
        except ValueError:
            return None
        return pixels if self._turn is None else np.array(Image.fromarray(pixels).transpose(self._turn))

    def _by_pillow(self, shrink: int) -> Pixels:
        _, image = open_admitted(self._header.format, self._data, self._limits)
        with decoder_errors(self._header.format):
            return np.array(loaded_image(image, shrink=self._base * shrink))

    def _stored_size(self, shrink: int) -> tuple[int, int]:
        """Width and height before the turning, after the shrinking."""
        times = self._base * shrink
        return -(-self._header.width // times), -(-self._header.height // times)


def _kept_rows(rows: int, times: int) -> int:
    """Height to which a JPEG can be cut without a change in the first `rows` of its decoded rows.

    Two more for what is interpolated between rows of colour, up to whole blocks.
    """
    return -(-(rows + 2) * times // ROWS_OF_BLOCKS) * ROWS_OF_BLOCKS
