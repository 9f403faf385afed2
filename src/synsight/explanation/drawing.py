"""Maps drawn over the image they are about, as small pictures inside a page."""

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

Pixels = NDArray[np.uint8]

SIDE = 176
"""Of a picture, pixels, at least: what was 32 px is drawn larger, or nobody sees a map on it."""
WARM = ((255, 214, 120), (240, 110, 20), (150, 20, 10))
COOL = ((160, 205, 245), (50, 110, 210), (10, 30, 110))
"""From weak to strong: what speaks for the score, and what against; both darken, so that a greyscale print
tells weak from strong."""


def as_image(pixels: Tensor) -> Image.Image:
    """uint8 [3, S, S] -> an image of at least `SIDE` pixels."""
    image = Image.fromarray(np.ascontiguousarray(pixels.permute(1, 2, 0).cpu().numpy()))
    times = -(-SIDE // image.width)
    size = (image.width * times, image.height * times)
    return image.resize(size, Image.Resampling.BICUBIC) if times > 1 else image


def overlay(image: Image.Image, values: NDArray[np.floating]) -> Image.Image:
    """The image, greyed, with a map over it: warm where it speaks for the score, cool where against.

    The strongest cell has full colour; what is weaker than a twentieth of it has none.

    Args:
        image: As the model sees it.
        values: [h, w], laid over the whole image.
    """
    size = image.size
    smooth = np.asarray(
        Image.fromarray(values.astype(np.float32)).resize(size, Image.Resampling.BICUBIC), np.float64
    )
    strength = np.clip(np.abs(smooth) / (np.abs(values).max() or 1.0), 0, 1)
    grey = np.asarray(image.convert("L").convert("RGB"), np.float64) * 0.75 + 64
    colour = np.where((smooth >= 0)[..., None], _ramp(strength, WARM), _ramp(strength, COOL))
    opacity = 0.75 * np.clip((strength - 0.05) / 0.95, 0, 1)[..., None]
    mixed: Pixels = (grey * (1 - opacity) + colour * opacity).astype(np.uint8)
    return Image.fromarray(mixed)


def data_url(image: Image.Image, *, quality: int = 82) -> str:
    """A WebP as an address that holds it whole."""
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "WEBP", quality=quality)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _ramp(strength: NDArray[np.float64], colours: tuple[tuple[int, int, int], ...]) -> NDArray[np.float64]:
    stops = np.linspace(0, 1, len(colours))
    return np.stack([np.interp(strength, stops, [one[c] for one in colours]) for c in range(3)], axis=-1)
