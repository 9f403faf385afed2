import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.fft import dct

from planted import COPIES, picture, shipped
from synsight.data.perceptual_hash import hamming, perceptual_hashes, reduced, steady_hashes

IMAGEHASH = {
    "emoji": "dad025c5ad388d3b e6e9b01ec81b39e1 ae8cb1f2d062d2cd fa5a81a98ea58da6 9b0de4939b8ecc23 "
    "e93434c3c73196c7 ee8437949271ccce bf1db57cc2e0ca02 b99cc3e00f33383e ee26909965db874c",
    "clipart": "b85ae4a68760cb6d fec1813c7f819c43 aacfe3c29790b072 b36dc3699826319b dad2b42dd5ad8234 "
    "ea973268c5329b69 b3c3cc93cc84cb3c eea596528b19d94a f86687998c667349 efcfb03094c1c2a7",
}
"""`imagehash.phash` of ImageHash 4.3.2 with Pillow 13.0.0 and SciPy 1.17.1, of every fortieth of
`shipped(name, 400)`; of all 800 no bit differs from ours."""


@pytest.mark.parametrize("name", list(IMAGEHASH))
def test_the_hash_is_that_of_the_imagehash_package(name):
    images = [picture(data) for data in shipped(name, 400)[::40]]
    found = [f"{value:016x}" for value in perceptual_hashes(np.stack([reduced(one) for one in images]))]
    assert found == IMAGEHASH[name].split()


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_the_hash_is_the_sign_of_the_lowest_frequencies(seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (32, 32), dtype=np.uint8)
    low = dct(dct(pixels.astype(float), axis=0), axis=1)[:8, :8].ravel()
    bits = "".join("1" if value > np.median(low) else "0" for value in low)
    assert int(perceptual_hashes(pixels[None])[0]) == int(bits, 2)


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_the_distance_counts_the_bits_that_differ(one, other):
    found = hamming(np.array([one], np.uint64), np.array([other], np.uint64))
    assert found.tolist() == [(one ^ other).bit_count()]


def test_no_image_and_a_flat_image_have_a_hash():
    assert perceptual_hashes(np.empty((0, 32, 32), np.uint8)).shape == (0,)
    flat = np.full((1, 32, 32), 200, np.uint8)
    assert perceptual_hashes(flat).tolist() == steady_hashes(flat).tolist() == [1 << 63]


@pytest.mark.parametrize("name", ["emoji", "clipart"])
@pytest.mark.parametrize("how", ["jpeg 50", "half the size", "smaller, jpeg 70"])
def test_a_picture_saved_again_stays_within_six_bits(name, how):
    """Measured on 200: 98.5 to 100% with the steady hash, 92 to 99.5% with the usual one."""
    images = [picture(data) for data in shipped(name, 120)]
    again = [Image.open(io.BytesIO(COPIES[how](one))) for one in images]
    before, after = (np.stack([reduced(one) for one in some]) for some in (images, again))
    near = hamming(steady_hashes(before), steady_hashes(after)) <= 6
    usual = hamming(perceptual_hashes(before), perceptual_hashes(after)) <= 6
    assert near.mean() >= 0.97
    assert near.mean() >= usual.mean()
