"""The image gate: odd images are kept on purpose, bad ones rejected with the right reason."""

import io
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import FORMATS, bomb, encoded, jpeg, picture, png
from PIL import Image, ImageFile

from synsight.data.images import ImageLimits, check_image, decode_image, read_header
from synsight.errors import ImageError
from synsight.pillow_strictness import cut_images_refused

WHITE, RED = (255, 255, 255), (255, 0, 0)


def reason_of(data: bytes, **limits: int) -> str | None:
    try:
        header = check_image(data, ImageLimits(**limits))
    except ImageError as error:
        return error.reason
    assert decode_image(data).size, "what the check accepts, the decoder accepts"
    assert read_header(data) == header
    return None


def pixels(data: bytes) -> np.ndarray:
    image = decode_image(data)
    assert image.mode == "RGB"
    return np.asarray(image)


def damaged(kind: str, number: int) -> bytes:
    """One of a hundred bad files of a kind."""
    rng = np.random.default_rng([number, len(kind)])
    good = encoded(picture(number, width=160, height=120), ("JPEG", "PNG", "WEBP", "TIFF", "BMP")[number % 5])
    if kind == "truncated":
        return good[: int(len(good) * rng.uniform(0.1, 0.95))]
    if kind == "html":
        return f"<!DOCTYPE html><html><body>{number} not found</body></html>".encode() * (1 + number)
    if kind == "noise":  # the beginning of an image, then noise
        good = encoded(picture(number, width=160, height=120), ("JPEG", "PNG")[number % 2])
        at = good.find(b"\xff\xda") + 14 if number % 2 == 0 else 60
        return good[:at] + rng.bytes(max(4000, len(good) - at))
    return rng.bytes(int(rng.integers(1, 20_000))) if kind == "random" else b""


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("truncated", "truncated"),
        ("empty", "empty"),
        ("html", "not_an_image"),
        ("noise", "corrupt"),
        ("random", "not_an_image"),
    ],
)
def test_of_a_hundred_damaged_files_every_one_is_rejected_for_the_right_reason(kind, reason):
    found = [reason_of(damaged(kind, number)) for number in range(100)]
    assert found == [reason] * 100


def test_of_six_hundred_good_files_none_is_rejected():
    good = [encoded(picture(n, width=9 + n, height=40), kind) for n in range(100) for kind in FORMATS]
    assert [reason_of(data) for data in good] == [None] * 600


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"optimize": True}, {"restart_marker_rows": 1}]
)
@pytest.mark.parametrize("cut", [2, 3, 10, 200])
def test_a_jpeg_without_its_end_is_truncated_however_little_is_missing(options, cut):
    data = encoded(picture(width=100, height=80), "JPEG", **options)
    assert reason_of(data) is None
    assert reason_of(data[:-cut]) == "truncated"


def test_what_follows_the_end_of_an_image_does_no_harm():
    for kind in ("JPEG", "PNG", "GIF", "BMP"):
        assert reason_of(encoded(picture(), kind) + bytes(range(256)) * 8) is None


def test_the_end_of_a_thumbnail_is_not_the_end_of_its_image():
    exif = Image.Exif()
    exif[0x010E] = jpeg(1).hex()
    exif.get_ifd(0x8769)[0x927C] = jpeg(1)  # a maker's note that holds a whole JPEG
    data = jpeg(2, exif=exif)
    assert data.count(b"\xff\xd9") == 2
    assert reason_of(data) is None
    assert reason_of(data[:-2]) == "truncated"


def test_one_changed_byte_in_a_png_is_found_by_its_check_sum():
    data = bytearray(png())
    data[data.find(b"IDAT") + 40] ^= 1
    assert reason_of(bytes(data)) == "corrupt"


@pytest.mark.parametrize(
    "data",
    [
        b"%PDF-1.7 whatever",
        b"\x00\x00\x00\x1cftypavif" + bytes(40),
        b"\x00\x00\x00\x18ftypheic" + bytes(40),
        b'<?xml version="1.0"?>\n<!-- drawn -->\n<svg xmlns="http://www.w3.org/2000/svg"/>',
        b"8BPS" + bytes(40),
        b"\x93NUMPY\x01\x00v\x00{'descr': '|O'",
    ],
)
def test_formats_that_are_not_read_are_called_by_their_name(data):
    with pytest.raises(ImageError, match=r"found (PDF|AVIF|HEIC|SVG|Photoshop|NumPy)") as caught:
        read_header(data)
    assert caught.value.reason == "unsupported_format"


def test_text_renamed_to_jpg_is_not_an_image_and_bm_makes_no_bitmap():
    assert reason_of(b"just some notes about the part") == "not_an_image"
    assert reason_of(b"BMW is a maker of cars, and this is text") == "not_an_image"


def test_limits_count_pixels_by_the_header_and_bytes():
    data = png()
    assert reason_of(data, max_pixels=48 * 32) is None
    assert reason_of(data, max_pixels=48 * 32 - 1) == "too_many_pixels"
    assert reason_of(data, max_bytes=len(data) - 1) == "too_many_bytes"


@pytest.mark.parametrize("kind", ["WEBP", "GIF"])
def test_a_canvas_is_refused_before_its_decoder_allocates_it(kind):
    exif = Image.Exif()
    exif[0x010E] = "a part"
    data = bytearray(encoded(picture(), kind, **({"exif": exif} if kind == "WEBP" else {})))
    if kind == "GIF":
        data[6:10] = b"\xff\xff\xff\xff"
    else:
        data[24:30] = b"\xfe\x3f\x00\xfe\x3f\x00"  # VP8X: 16,383 x 16,383
    assert reason_of(bytes(data)) == "too_many_pixels"


def test_bombs_are_refused_with_less_than_200_megabytes():
    """109 KB that would be 900 megapixels, 17.6 KB that would be 144; in a process of their own."""
    program = """
import resource, time
from synsight.data.images import decode_image, read_header
from synsight.errors import ImageError
from pictures import bomb, png
decode_image(png())
bombs = [bomb(30_000), bomb(12_000)]
print(*(len(one) for one in bombs))
before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
for one in bombs:
    for read in (read_header, decode_image):
        try:
            read(one)
        except ImageError as error:
            print(error.reason)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, time.perf_counter() - start)
"""
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=here, capture_output=True, text=True, check=True
    )
    sizes, *reasons, cost = done.stdout.split("\n")[:-1]
    assert [int(size) for size in sizes.split()] == pytest.approx([109_000, 17_600], rel=0.05)
    assert reasons == ["too_many_pixels"] * 4
    rise, seconds = cost.split()
    assert int(rise) < 200_000  # kB
    assert float(seconds) < 4


def test_sixteen_bit_grey_is_scaled_to_eight_bits_for_png_and_tiff():
    values = np.array([[0, 128, 129, 257 * 7, 65_535]], dtype=np.uint16)
    for kind in ("PNG", "TIFF"):
        data = encoded(Image.fromarray(values), kind)
        assert pixels(data)[0, :, 0].tolist() == [0, 0, 1, 7, 255]


def test_transparency_of_every_mode_lies_on_white():
    half = Image.new("RGBA", (2, 1), (255, 0, 0, 255))
    half.putpixel((0, 0), (0, 0, 0, 0))
    palette = Image.new("P", (2, 1))
    palette.putpalette([0, 0, 0, 255, 0, 0])
    palette.putpixel((1, 0), 1)
    cases = [
        encoded(half, "PNG"),
        encoded(half, "WEBP", lossless=True, exact=True),
        encoded(half, "TIFF"),
        encoded(palette, "PNG", transparency=0),
        encoded(palette, "PNG", transparency=b"\x00\xff"),
        encoded(palette, "GIF", transparency=0),
        encoded(half.convert("RGB"), "PNG", transparency=(0, 0, 0)),
    ]
    for data in cases:
        assert [tuple(one) for one in pixels(data)[0].tolist()] == [WHITE, RED]


def test_grey_with_alpha_and_sixteen_bit_grey_with_a_transparent_value_lie_on_white():
    grey = Image.new("LA", (2, 1), (10, 0))
    grey.putpixel((1, 0), (100, 128))
    assert pixels(encoded(grey, "PNG"))[0, :, 0].tolist() == [255, 177]
    deep = Image.fromarray(np.array([[0, 25_700]], dtype=np.uint16))
    data = bytearray(encoded(deep, "PNG"))
    at = data.find(b"IDAT") - 4
    import struct
    import zlib

    chunk = b"tRNS" + struct.pack(">H", 0)
    data[at:at] = struct.pack(">I", 2) + chunk + struct.pack(">I", zlib.crc32(chunk))
    assert pixels(bytes(data))[0, :, 0].tolist() == [255, 100]


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_palettes_of_all_depths_keep_their_colours(bits):
    image = Image.new("P", (2, 1))
    image.putpalette([0, 0, 255, 255, 0, 0])
    image.putpixel((1, 0), 1)
    assert pixels(encoded(image, "PNG", bits=bits))[0].tolist() == [[0, 0, 255], [255, 0, 0]]


def test_one_bit_and_grey_images_become_three_equal_channels():
    for mode in ("1", "L"):
        data = encoded(picture().convert(mode), "PNG")
        found = pixels(data)
        assert (found == found[..., :1]).all()
        np.testing.assert_array_equal(found[..., 0], np.asarray(picture().convert(mode).convert("L")))


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_has_its_colours_also_in_adobes_inverted_form(kind):
    """Pillow writes JPEG as Adobe does, with ink inverted: red is no cyan, full magenta and yellow."""
    data = encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), kind)
    if kind == "JPEG":
        assert b"Adobe" in data
    np.testing.assert_allclose(pixels(data)[8, 8], RED, atol=3)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied_and_the_header_tells_the_stored_size(kind, orientation):
    upright = np.zeros((16, 24, 3), dtype=np.uint8)
    upright[:8, :12] = RED  # red in the upper left
    stored = Image.fromarray(upright)
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Image.Transpose that makes what is stored
    if orientation in undo:
        stored = stored.transpose(undo[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(stored, kind, exif=exif)
    header = read_header(data)
    assert (header.width, header.height) == stored.size
    shown = pixels(data)
    assert shown.shape == (16, 24, 3)
    np.testing.assert_allclose(shown[2, 3], RED, atol=40)
    assert shown[13, 20].max() < 60


def test_broken_exif_costs_the_rotation_and_not_the_image():
    data = jpeg(exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff")
    assert decode_image(data).size == (48, 32)


def test_of_an_animation_and_of_a_paged_tiff_the_first_is_taken():
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "lime")]
    for kind in ("GIF", "WEBP", "TIFF", "PNG"):
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
        np.testing.assert_allclose(pixels(data)[4, 4], RED, atol=3)


@pytest.mark.parametrize("size", [(1, 1), (65_535, 1), (1, 65_535)])
def test_the_smallest_and_the_widest_images_are_kept(size):
    for kind in ("PNG", "BMP", "TIFF", "GIF"):
        assert decode_image(encoded(Image.new("RGB", size, "red"), kind)).size == size
    assert decode_image(encoded(Image.new("RGB", (1, 1)), "JPEG")).size == (1, 1)
    assert decode_image(encoded(Image.new("RGB", (65_500, 1)), "JPEG")).size == (65_500, 1)


@pytest.mark.parametrize("mode", ["I", "F"])
def test_pixels_of_unknown_range_are_refused_and_not_guessed(mode):
    assert reason_of(encoded(Image.new(mode, (4, 4)), "TIFF")) == "unsupported_format"


@pytest.mark.parametrize(("shrink_to", "expected"), [(100, (400, 300)), (149, (400, 300)), (150, (400, 300))])
def test_a_jpeg_shrinks_while_decoding_but_never_below_what_is_asked(shrink_to, expected):
    data = encoded(picture(width=800, height=600), "JPEG")
    small = decode_image(data, shrink_to=shrink_to)
    assert min(small.size) >= shrink_to
    assert small.size[0] < 800
    assert decode_image(data, shrink_to=301).size == (800, 600)
    assert decode_image(png(), shrink_to=4).size == (48, 32)


@pytest.fixture
def lenient_process(monkeypatch):
    """A process in which something, a notebook or an import, has told Pillow to make do with half images."""
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)


@pytest.mark.usefixtures("lenient_process")
def test_the_gate_reads_and_leaves_no_setting_that_other_threads_share():
    before = Image.MAX_IMAGE_PIXELS
    decode_image(jpeg())
    assert before == Image.MAX_IMAGE_PIXELS
    for kind in ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP"):
        assert reason_of(encoded(picture(), kind)[:-100]) == "truncated"
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True


@pytest.mark.usefixtures("lenient_process")
def test_threads_that_decode_together_refuse_cut_images_and_put_the_setting_back():
    files = [encoded(picture(number, width=160, height=120), "BMP") for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        found = list(
            pool.map(reason_of, [data[: -1000 * (n % 2) or None] for n in range(25) for data in files])
        )
    assert found == [["truncated", None][n % 2 == 0] for n in range(25) for _ in files]
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True


@pytest.mark.usefixtures("lenient_process")
def test_a_process_forked_while_a_thread_decodes_can_decode():
    inside, done = threading.Event(), threading.Event()

    def decode_slowly():
        with cut_images_refused():
            inside.set()
            done.wait()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(decode_slowly)
        inside.wait()
        child = os.fork()
        if not child:
            lenient = ImageFile.LOAD_TRUNCATED_IMAGES
            os._exit(0 if lenient and reason_of(encoded(picture(), "BMP")[:-100]) == "truncated" else 1)
        done.set()
    assert os.waitpid(child, 0)[1] == 0


@settings(max_examples=200, deadline=None)
@given(
    st.integers(0, 5),
    st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 255)), max_size=8),
    st.integers(0, 99),
)
def test_whatever_bytes_change_only_an_image_error_comes_out(kind, changes, cut):
    data = bytearray(encoded(picture(), FORMATS[kind]))
    for place, value in changes:
        data[place % len(data)] = value
    data = data[: len(data) - cut]
    try:
        assert decode_image(bytes(data)).mode == "RGB"
    except ImageError as error:
        assert str(error).endswith(".")


def test_messages_say_what_was_expected_found_and_to_be_done():
    with pytest.raises(ImageError) as caught:
        read_header(bomb(8_000))
    assert str(caught.value) == (
        "expected an image of at most 50,000,000 pixels, found 8,000 x 8,000; shrink it first."
    )
    with pytest.raises(ImageError, match=r"^expected a whole png, but its end is missing; copy or save"):
        decode_image(png()[:-20])
    assert io.BytesIO(png()).read(4) == b"\x89PNG"
