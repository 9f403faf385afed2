"""What the bytes of an image file say before any decoder sees them: format, size, and whether it is whole.

Decoders forgive much: libjpeg paints what is missing grey, libpng's callers skip check sums. A damaged file
that trains a model unnoticed is worse than a rejected one, so the structure is walked here; no pixel is read.
"""

import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Fault = Literal["truncated", "corrupt"]

SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
)

FOREIGN_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"%PDF", "PDF"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (b"8BPS", "Photoshop"),
    (b"\x00\x00\x01\x00", "ICO"),
    (b"DDS ", "DDS"),
    (b"qoif", "QOI"),
    (b"v/1\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"II+\x00", "BigTIFF"),
    (b"MM\x00+", "BigTIFF"),
    (b"\x93NUMPY", "NumPy array"),
)
FOREIGN_BRANDS = {b"avif": "AVIF", b"avis": "AVIF", b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIF"}
BITMAP_HEADER_SIZES = frozenset({12, 40, 52, 56, 64, 108, 124})


def format_of(data: bytes) -> str | None:
    """Our name of the format, as `jpeg`; None when the bytes are no image that is read."""
    for signature, name in SIGNATURES:
        if data.startswith(signature):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    if data[:2] == b"BM" and len(data) >= 18 and struct.unpack_from("<I", data, 14)[0] in BITMAP_HEADER_SIZES:
        return "bmp"
    return None


def foreign_format_of(data: bytes) -> str | None:
    """The name of a picture format that is known and not read, as "PDF"; None for anything else."""
    for signature, name in FOREIGN_SIGNATURES:
        if data.startswith(signature):
            return name
    if data[4:8] == b"ftyp":
        return FOREIGN_BRANDS.get(data[8:12])
    if re.match(
        rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*|<!DOCTYPE svg[^>]*>\s*)*<svg\b", data[:2048], re.S
    ):
        return "SVG"
    return None


def canvas_size(name: str, data: bytes) -> tuple[int, int] | None:
    """Width and height by the first bytes, for the formats whose decoder allocates while it opens."""
    if name == "gif" and len(data) >= 10:
        width, height = struct.unpack_from("<HH", data, 6)
        return width, height
    if name != "webp" or len(data) < 30:
        return None
    chunk = data[12:16]
    if chunk == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if chunk == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return (bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", data, 26)
    return width & 0x3FFF, height & 0x3FFF


@dataclass(frozen=True)
class JpegFrame:
    """What a JPEG says of its pixels."""

    place: int
    """Where the height stands in the file, two bytes, the width behind it."""
    width: int
    height: int
    ordinary: bool
    """8 bits, grey or three components, and beside tables and a comment nothing that could bear on them
    (rotation, a colour profile, the marks of a program)."""
    sequential: bool
    """One scan holds all components, from the top to the bottom."""


def jpeg_frame(data: bytes) -> JpegFrame | None:
    """The frame of a JPEG in which `fault_of` finds no fault; None when its header is an odd one."""
    at, ordinary, frame = 2, True, None
    while (marker := data[at + 1]) != 0xDA:
        (length,) = struct.unpack_from(">H", data, at + 2)
        if marker in (0xC0, 0xC1, 0xC2):
            if frame is not None or length < 8:
                return None
            bits, height, width, components = struct.unpack_from(">BHHB", data, at + 4)
            ordinary &= bits == 8 and components in (1, 3) and length == 8 + 3 * components
            frame = at + 5, width, height
            baseline = marker != 0xC2
        elif marker == 0xE0:  # JFIF
            ordinary &= length == 16
        else:  # tables of quanta, of codes, of restarts; a comment
            ordinary &= marker in (0xDB, 0xC4, 0xDD, 0xFE)
        at += 2 + length
        if at + 4 >= len(data) or data[at] != 0xFF:
            return None
    if frame is None or not frame[1] * frame[2]:
        return None
    return JpegFrame(*frame, ordinary=ordinary, sequential=baseline and data[at + 4] == components)


def fault_of(name: str, data: bytes) -> Fault | None:
    """`truncated` or `corrupt` when the file's structure shows it, else None.

    BMP and GIF say too little about themselves; their decoders notice a missing end.
    """
    check = FAULTS.get(name)
    try:
        return check(data) if check else None
    except (struct.error, IndexError):  # a field that lies behind the end
        return "truncated"


_SCAN_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_ILLEGAL = re.compile(rb"\xff[\x01-\xbf\xf0-\xfd]")


def _jpeg_fault(data: bytes) -> Fault | None:
    """Walk the segments to the end-of-image marker.

    Entropy-coded data escapes every 0xFF, so a marker of the reserved ranges inside a scan is damage, which
    libjpeg would only warn of.
    """
    at, scan, damaged = 2, None, False
    while (marker := data[at + 1]) != 0xD9:
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        end = at + 2 + struct.unpack_from(">H", data, at + 2)[0]
        if scan is not None:
            damaged = damaged or _ILLEGAL.search(data, at, end + 1) is not None
        if marker == 0xDA:
            scan = end if scan is None else scan
            found = _SCAN_MARKER.search(data, end)  # the one pass over the pixels' bytes
            end = found.start() if found else len(data)
        if end + 1 >= len(data) or data[end] != 0xFF:
            cut = end + 1 >= len(data) and not (scan and _ILLEGAL.search(data, scan))
            return "truncated" if cut else "corrupt"
        at = end
    return "corrupt" if scan is None or damaged else None


def _png_fault(data: bytes) -> Fault | None:
    """Walk the chunks, check the sums of those that hold pixels, and ask for the end chunk."""
    if data[12:16] != b"IHDR":
        return "truncated" if len(data) < 16 else "corrupt"
    at = 8
    while True:
        length, kind = struct.unpack_from(">I4s", data, at)
        if not kind.isalpha():
            return "corrupt"
        end = at + 8 + length
        if end + 4 > len(data):
            return "truncated"
        if kind in (b"IHDR", b"PLTE", b"IDAT", b"tRNS"):
            expected = struct.unpack_from(">I", data, end)[0]
            if zlib.crc32(memoryview(data)[at + 4 : end]) != expected:
                return "corrupt"
        if kind == b"IEND":
            return None
        at = end + 4


def _webp_fault(data: bytes) -> Fault | None:
    if data[12:16] not in (b"VP8 ", b"VP8L", b"VP8X"):
        return "truncated" if len(data) < 16 else "corrupt"
    return "truncated" if len(data) < 8 + struct.unpack_from("<I", data, 4)[0] else None


def _tiff_fault(data: bytes) -> Fault | None:
    """The first directory and the strips or tiles it names must lie inside the file."""
    order = "<" if data[:2] == b"II" else ">"
    at = struct.unpack_from(order + "I", data, 4)[0]
    (entries,) = struct.unpack_from(order + "H", data, at)
    places: dict[int, list[int]] = {}
    for entry in range(at + 2, at + 2 + 12 * entries, 12):
        tag, kind, count = struct.unpack_from(order + "HHI", data, entry)
        if tag in (273, 279, 324, 325) and kind in (3, 4):
            size = 2 if kind == 3 else 4
            start = entry + 8 if count * size <= 4 else struct.unpack_from(order + "I", data, entry + 8)[0]
            if start + count * size > len(data):
                return "truncated"
            places[tag] = list(struct.unpack_from(f"{order}{count}{'H' if kind == 3 else 'I'}", data, start))
    for offsets, sizes in ((273, 279), (324, 325)):
        pairs = zip(places.get(offsets, []), places.get(sizes, []), strict=False)
        if any(offset + length > len(data) for offset, length in pairs):
            return "truncated"
    return None


FAULTS: dict[str, Callable[[bytes], Fault | None]] = {
    "jpeg": _jpeg_fault,
    "png": _png_fault,
    "webp": _webp_fault,
    "tiff": _tiff_fault,
}
