"""Where images and captions come from: folders of images, tables, tars, COCO files, saved data sets.

A source yields chunks of rows with their images' bytes. What cannot be read is a row with a reason; nothing
that a source holds can make us read outside it, run code, or use the network.
"""

from synsight.data.sources.opening import ImageSource, open_source
from synsight.data.sources.rows import MESSAGE, PLACE

__all__ = ["MESSAGE", "PLACE", "ImageSource", "open_source"]
