"""The program that the kill tests kill, as `python killed.py VERB CATALOG ROWS`.

Says "ready" before it begins and "done" after the last row.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from catalogs import ingest_rows, square_column

from synsight.data import append_sink

append_sink.ROWS_PER_COMMIT = 200  # many commits, so that many kills fall into one

if __name__ == "__main__":
    verb, path, count = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    print("ready", flush=True)
    if verb == "ingest":
        ingest_rows(path, count, size=50)
    else:
        square_column(path, size=50)
    print("done", flush=True)
