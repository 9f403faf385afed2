"""The gate through which every image comes: header first, limits, then one strict decode.

Nothing of the pixels is read before the header says how many there are. The limits are arguments, not
Pillow's global setting, so that threads with other limits do not disturb each other, and what else the
process has set in Pillow changes no verdict. The content decides the format, never the file's extension.
"""

import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from synsight.data.image_bytes import canvas_size, fault_of, foreign_format_of, format_of
from synsight.errors import ImageError
from synsight.pillow_strictness import cut_images_refused

Pixels = NDArray[np.uint8]
"""[H, W, 3] in RGB."""

# Opened by their class and not by Image.open, which would first warn or refuse by Pillow's own global limit.
OPENERS: dict[str, Callable[[io.BytesIO], ImageFile.ImageFile]] = {
    "jpeg": JpegImagePlugin.JpegImageFile,
    "png": PngImagePlugin.PngImageFile,
    "webp": WebPImagePlugin.WebPImageFile,
    "bmp": BmpImagePlugin.BmpImageFile,
    "tiff": TiffImagePlugin.TiffImageFile,
    "gif": GifImagePlugin.GifImageFile,
}

warnings.filterwarnings("error", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")  # broken metadata, which is not used

NOT_EIGHT_BITS = {"I", "F", "LAB"}
"""Pillow's modes whose range is not known: 32-bit integers, floats, Lab."""


@dataclass(frozen=True, kw_only=True)
class ImageLimits:
    """What an image may cost; an animation counts with its canvas."""

    max_pixels: int = 50_000_000
    max_bytes: int = 30_000_000


@dataclass(frozen=True)
class ImageHeader:
    """What the file says of itself.

    `width` and `height` are the stored ones, in pixels: before a rotation that EXIF asks for.
    """

    format: str
    """`jpeg`, `png`, `webp`, `bmp`, `tiff` or `gif`."""
    width: int
    height: int


def read_header(data: bytes, limits: ImageLimits | None = None) -> ImageHeader:
    """Format and size of an image, without its pixels.

    Raises:
        ImageError: With the reason `empty`, `not_an_image`, `unsupported_format`, `truncated`, `corrupt`,
            `too_many_bytes` or `too_many_pixels`.
    """
    return open_image(data, limits)[0]


def decode_image(
    data: bytes, *, limits: ImageLimits | None = None, shrink_to: int | None = None
) -> Image.Image:
    """The image as RGB, 8 bits a channel, upright, on white.

    EXIF's rotation is applied; of an animation or a TIFF of many pages the first is taken; transparency
    lies on white; 16-bit grey is divided by 257; CMYK and palettes become RGB by Pillow's rules.

    Args:
        data: The file's bytes.
        limits: What the image may cost.
        shrink_to: A JPEG may come at 1/2, 1/4 or 1/8 of its size while its shorter side keeps so many pixels.

    Raises:
        ImageError: As `read_header`; also when the pixels turn out cut off or broken.
    """
    header, image = open_image(data, limits)
    with decoder_errors(header.format):
        return loaded_image(image, shrink=jpeg_shrink(header, shrink_to))


def jpeg_shrink(header: ImageHeader, shrink_to: int | None) -> int:
    """How many times smaller libjpeg may decode: the largest of 8, 4, 2 that keeps the shorter side >=
    `shrink_to`, else 1.
    """
    if shrink_to is None or header.format != "jpeg":
        return 1
    least = min(header.width, header.height)
    return next((times for times in (8, 4, 2) if least // times >= shrink_to), 1)


def loaded_image(image: ImageFile.ImageFile, *, shrink: int = 1) -> Image.Image:
    """The opened image as `decode_image` gives it, a JPEG at 1 / `shrink` of its size."""
    if shrink > 1:
        image.draft(None, (image.width // shrink, image.height // shrink))
    image.load()
    turn = turn_of(image)
    return _on_white(image if turn is None else image.transpose(turn))


def check_image(data: bytes, limits: ImageLimits | None = None) -> ImageHeader:
    """The header of an image whose pixels have all been decoded once, to be sure that they are whole.

    Raises:
        ImageError: As `decode_image`.
    """
    header, image = open_image(data, limits)
    with decoder_errors(header.format):
        image.load()
        if image.mode in NOT_EIGHT_BITS:
            raise _unknown_range(image.mode)
        return header


def open_image(data: bytes, limits: ImageLimits | None = None) -> tuple[ImageHeader, ImageFile.ImageFile]:
    """The header and the opened, not yet decoded image; what is then done with it belongs under
    `decoder_errors`.

    Raises:
        ImageError: As `read_header`.
    """
    limits = limits or ImageLimits()
    return open_admitted(admitted_format(data, limits), data, limits)


def open_admitted(name: str, data: bytes, limits: ImageLimits) -> tuple[ImageHeader, ImageFile.ImageFile]:
    """`open_image` of bytes whose format `admitted_format` has told."""
    with decoder_errors(name):
        image = OPENERS[name](io.BytesIO(data))
        width, height = _stored_size(image)
        refuse_many_pixels(width, height, limits)
        return ImageHeader(name, width, height), image


@contextmanager
def decoder_errors(name: str) -> Iterator[None]:
    """Whatever a decoder of the format raises becomes an ImageError; a missing end always raises."""
    try:
        with cut_images_refused():
            yield
    except (ImageError, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError("too_many_pixels", f"the {name} declares too many pixels ({error}).") from None
    except Exception as error:  # hostile bytes make decoders raise nearly anything
        reason = "truncated" if "truncated" in str(error).lower() else "corrupt"
        raise ImageError(
            reason,
            f"expected a whole {name}, its decoder stopped ({str(error)[:200]}); save the image again.",
        ) from error


def admitted_format(data: bytes, limits: ImageLimits) -> str:
    """The format's name, once everything is refused that can be without a decoder."""
    if not data:
        raise ImageError("empty", "expected an image, found a file of 0 bytes; copy it again.")
    if len(data) > limits.max_bytes:
        raise ImageError(
            "too_many_bytes",
            f"expected an image of at most {limits.max_bytes:,} bytes, found {len(data):,}; shrink it first.",
        )
    name = format_of(data)
    if name is None:
        foreign = foreign_format_of(data)
        found, reason = (foreign, "unsupported_format") if foreign else ("something else", "not_an_image")
        raise ImageError(
            reason, f"expected JPEG, PNG, WebP, BMP, TIFF or GIF, found {found}; convert it or leave it out."
        )
    size = canvas_size(name, data)
    if size:
        refuse_many_pixels(*size, limits)
    fault = fault_of(name, data)
    if fault:
        found = "its end is missing" if fault == "truncated" else "its structure or check sum is broken"
        raise ImageError(fault, f"expected a whole {name}, but {found}; copy or save the image again.")
    return name


def refuse_many_pixels(width: int, height: int, limits: ImageLimits) -> None:
    if width * height > limits.max_pixels:
        raise ImageError(
            "too_many_pixels",
            f"expected an image of at most {limits.max_pixels:,} pixels, "
            f"found {width:,} x {height:,}; shrink it first.",
        )


def _stored_size(image: ImageFile.ImageFile) -> tuple[int, int]:
    if isinstance(image, TiffImagePlugin.TiffImageFile):  # its `size` is already turned
        return int(image.tag_v2[256]), int(image.tag_v2[257])
    return image.size


TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF's orientation (CIPA DC-008, tag 0x0112) -> what sets the image upright."""


def turn_of(image: Image.Image) -> Image.Transpose | None:
    """What EXIF asks for; broken EXIF asks for nothing. (Pillow turns a TIFF while it loads.)"""
    if image.format == "TIFF" or (image.format == "JPEG" and not {"exif", "xmp"} & image.info.keys()):
        return None
    try:
        return TURNS.get(image.getexif().get(0x0112, 1))
    except Exception:  # metadata is as hostile as pixels, and less needed
        return None


def _on_white(image: Image.Image) -> Image.Image:
    transparency = image.info.get("transparency")
    if image.mode.startswith("I;16"):
        return _eight_bits(image, transparency)
    if image.mode in NOT_EIGHT_BITS:
        raise _unknown_range(image.mode)
    if not image.has_transparency_data:
        return image.convert("RGB")
    opaque = image.convert("RGBA")
    white = Image.new("RGB", opaque.size, "white")
    white.paste(opaque, mask=opaque.getchannel("A"))
    return white


def _eight_bits(image: Image.Image, transparent: object) -> Image.Image:
    """16-bit grey [0, 65535] to [0, 255], rounded; the transparent value, if any, becomes white."""
    values = np.asarray(image).astype(np.uint32)
    grey = ((values + 128) // 257).astype(np.uint8)
    if isinstance(transparent, int):
        grey[values == transparent] = 255
    return Image.fromarray(grey).convert("RGB")


def _unknown_range(mode: str) -> ImageError:
    return ImageError(
        "unsupported_format",
        f"expected 8 or 16 bits a channel, found Pillow's mode {mode!r} whose range is unknown; "
        "convert the image to 8 bits.",
    )
