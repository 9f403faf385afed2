"""The same pixels as `images.decode_image` gives, to the bit, sooner.

A JPEG goes to libjpeg-turbo without Pillow's detour over four-byte pixels (simplejpeg, of the extra `fast`),
and only down to the last row that is wanted. Pillow opens what is not an ordinary JPEG and judges what
simplejpeg finds fault with, so that a file is accepted or refused, and for the reason, as ever.
"""

import struct

import numpy as np
from PIL import Image

from synsight.data.image_bytes import format_of, jpeg_frame
from synsight.data.images import (
    ImageHeader,
    ImageLimits,
    Pixels,
    admitted_format,
    decode_image,
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
    if format_of(data) == "jpeg":
        return UndecodedJpeg(data, limits=limits, shrink_to=shrink_to).pixels()
    return np.array(decode_image(data, limits=limits, shrink_to=shrink_to))


class UndecodedJpeg:
    """A JPEG of which only the upright size is known, until it is decided how small its pixels may come and
    how many rows of them are wanted.

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
        self._data, self._limits = data, limits or ImageLimits()
        name = admitted_format(data, self._limits)
        self._frame = jpeg_frame(data)
        self._turn: Image.Transpose | None = None
        self._in_rgb = True
        if self._frame is not None and self._frame.ordinary:
            self._header = ImageHeader(name, self._frame.width, self._frame.height)
            refuse_many_pixels(self._frame.width, self._frame.height, self._limits)
        else:
            self._header, image = open_admitted(name, data, self._limits)
            self._turn, self._in_rgb = turn_of(image), image.mode in ("RGB", "L")
        self._base = jpeg_shrink(self._header, shrink_to)
        self.most_shrink = MOST_SHRINK // self._base
        size = self._stored_size(1)
        self.width, self.height = reversed(size) if self._turn in SIDEWAYS else size

    def pixels(self, *, shrink: int = 1, rows: int | None = None) -> Pixels:
        """[H, W, 3] uint8, writable.

        Args:
            shrink: Times by which it comes smaller than `height` and `width` (rounded up): a power of 2, at
                most `most_shrink`.
            rows: How many rows of the result are wanted; those below may be missing. None: all.

        Raises:
            ImageError: The pixels turn out cut off or broken.
        """
        pixels = self._by_simplejpeg(shrink, rows)
        return self._by_pillow(shrink) if pixels is None else pixels

    def _by_simplejpeg(self, shrink: int, rows: int | None) -> Pixels | None:
        """None: not installed, CMYK, or something is wrong with the file, which Pillow shall judge."""
        try:
            from simplejpeg import decode_jpeg
        except ImportError:
            return None
        width, height = self._stored_size(shrink)
        if not self._in_rgb or (self._base * shrink > 1 and min(width, height) < 8):
            return None  # simplejpeg knows more scales and goes by the size, which below 8 two scales share
        data, kept = self._cut_below(rows, self._base * shrink)
        least = {"min_width": width, "min_height": kept} if self._base * shrink > 1 else {}
        try:
            # Not strict where the file is cut: it would warn of the bytes that are left over.
            pixels: Pixels = decode_jpeg(data, strict=data is self._data, **least)
        except ValueError:
            return None
        return pixels if self._turn is None else np.array(Image.fromarray(pixels).transpose(self._turn))

    def _cut_below(self, rows: int | None, times: int) -> tuple[bytes, int]:
        """The file, and the rows that will come of it: told a smaller height where fewer are wanted."""
        frame, height = self._frame, self._header.height
        if rows is not None and frame is not None and frame.sequential and self._turn is None:
            # Two rows more for what is interpolated between rows of colour, up to whole blocks.
            kept = -(-(rows + 2) * times // ROWS_OF_BLOCKS) * ROWS_OF_BLOCKS
            if kept < height:
                before, behind = self._data[: frame.place], self._data[frame.place + 2 :]
                return before + struct.pack(">H", kept) + behind, kept // times
        return self._data, -(-height // times)

    def _by_pillow(self, shrink: int) -> Pixels:
        _, image = open_admitted(self._header.format, self._data, self._limits)
        with decoder_errors(self._header.format):
            return np.array(loaded_image(image, shrink=self._base * shrink))

    def _stored_size(self, shrink: int) -> tuple[int, int]:
        """Width and height before the turning, after the shrinking."""
        times = self._base * shrink
        return -(-self._header.width // times), -(-self._header.height // times)
