"""I5: whatever bytes a table or tar has, reading it gives rows or one of our errors, and ends.

`corpus/` holds what readers found hard: encodings, quotes, deep JSON, long tar headers. Its files are read as
they are, and changed at random: seeded for some seconds of every test run, and anew for a minute with
`pytest -m slow tests/data/test_reader_fuzz.py`. A file that ever fails belongs into the corpus.
"""

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pictures import png, put

from synsight.data.sources import open_source
from synsight.errors import DataError

CORPUS = sorted((Path(__file__).parent / "corpus").iterdir())
SECONDS = 60
LARGE = 1 << 20
TOKENS = (
    *(b'"', b"'", b",", b"\t", b";", b"|", b"\r", b"\n", b"\r\n", b"\0", b"\xff\xfe", b"\xef\xbb\xbf"),
    *(b"\xed\xa0\x80", b"{", b"}", b"[" * 50, b"NaN", b"1e999", b"-9223372036854775809", b"\\ud800", b"-1"),
    *(b"../../etc/passwd", b"PAX", b"ustar\x0000", b"././@LongLink", b"PAR1", b"\x15\x04", b"7777777\0"),
    b"\x80\0\0\0\0\0\0\xff",
)


def changed(data: bytes, other: bytes, draw: random.Random) -> bytes:
    """Some of: bits turned, bytes cut out, doubled or put in, a piece of another file."""
    found = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 4, 16))):
        place = draw.randrange(len(found) + 1)
        end = min(len(found), place + draw.choice((1, 2, 8, 64, 512)))
        match draw.randrange(6):
            case 0 if found:
                found[min(place, len(found) - 1)] ^= 1 << draw.randrange(8)
            case 1:
                del found[place:end]
            case 2:
                found[place:place] = found[place:end] * draw.choice((1, 2, 20))
            case 3:
                found[place:place] = draw.choice(TOKENS)
            case 4:
                found[place:end] = draw.randbytes(end - place)
            case _:
                start = draw.randrange(len(other) + 1)
                found[place:place] = other[start : start + draw.choice((8, 64, 512))]
    return bytes(found[:LARGE])


def cases(seed: int) -> Iterator[tuple[str, bytes]]:
    """Files of the corpus, changed, without end."""
    draw = random.Random(seed)
    files = [(path.name, path.read_bytes()) for path in CORPUS]
    while True:
        name, data = draw.choice(files)
        yield name, changed(data, draw.choice(files)[1], draw)


def read(folder: Path, name: str, data: bytes) -> int:
    """Rows found; 0 where one of our errors came out."""
    put(folder, {name: data, "a.png": png()})
    try:
        source = open_source(folder / name, chosen={})
        return sum(chunk.read().num_rows for chunk in source.chunks())
    except DataError as error:
        assert str(error)
        return 0


def test_every_file_of_the_corpus_is_read(tmp_path):
    assert {path.suffix for path in CORPUS} == {".csv", ".tsv", ".jsonl", ".parquet", ".tar"}
    assert all(read(tmp_path / path.name, path.name, path.read_bytes()) for path in CORPUS)


def test_changed_files_of_the_corpus_are_rows_or_one_sentence(tmp_path):
    found = [read(tmp_path, name, data) for (name, data), _ in zip(cases(0), range(150), strict=False)]
    assert 0 < sum(map(bool, found)) < len(found)


@pytest.mark.slow
def test_a_minute_of_changed_files_is_rows_or_one_sentence(tmp_path):
    seed = random.SystemRandom().randrange(1 << 32)
    end, longest = time.monotonic() + SECONDS, 0.0
    for number, (name, data) in enumerate(cases(seed)):
        began = time.monotonic()
        if began > end:
            break
        try:
            read(tmp_path, name, data)
        except BaseException:
            kept = tmp_path / f"failed_{name}"
            kept.write_bytes(data)
            print(f"seed {seed}, case {number}: {kept}")
            raise
        longest = max(longest, time.monotonic() - began)
    assert longest < 10, f"seed {seed}"  # a megabyte at most
