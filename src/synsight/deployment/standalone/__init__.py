"""Programs that `export` puts beside the files it writes: each runs without synsight."""
