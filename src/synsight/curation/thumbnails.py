"""Small pictures of rows, for the pages that show some."""

import base64
import io

from PIL import Image

from synsight.data.images import decode_image
from synsight.errors import ImageError

SIDE = 96


def thumbnail(data: bytes | None) -> str:
    """A small WebP as a data URL; "" for what cannot be decoded."""
    try:
        image = decode_image(data or b"", shrink_to=SIDE)
    except ImageError:
        return ""
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=80)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
