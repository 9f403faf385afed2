"""The program that the kill tests kill: `python killed_words.py CATALOG`; says "ready" before it begins."""

import sys

from synsight.language import SynsetMatcher, labelling

labelling.ROWS_PER_CHUNK = 500  # many chunks, so that many kills fall between two

if __name__ == "__main__":
    SynsetMatcher.load()
    print("ready", flush=True)
    labelling.find_words(sys.argv[1])
    print("done", flush=True)
