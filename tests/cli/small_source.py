"""A small source of real images, cut from the packaged sample, and settings for runs of a second."""

from importlib import resources

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

TINY = [
    *(
        "--encoder",
        "test_resnet.r160_in1k",
        "--image-size",
        "16",
        "--batch-size",
        "16",
        "--precision",
        "fp32",
    ),
    *("--workers", "0", "--log-every", "1", "--monitor.every-steps", "2", "--label", "category"),
]
CLASSES = ("animals-nature", "flags", "food-drink")
ROWS = {"train": 40, "val": 8, "test": 16}


def small_table() -> pa.Table:
    """Three classes of one vendor: 40 training, 8 validation and 16 test rows each."""
    path = resources.files("synsight.data").joinpath("sample_files/emoji.parquet")
    table = pq.read_table(str(path)).filter(pc.field("domain") == "google")
    parts = []
    for split, rows in ROWS.items():
        for name in CLASSES:
            chosen = (pc.field("split") == split) & (pc.field("category") == name)
            parts.append(table.filter(chosen).slice(0, rows))
    return pa.concat_tables(parts)
