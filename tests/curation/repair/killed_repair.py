"""Repairs the catalog named on the command line with a slow captioner, until it is stopped."""

import sys
import time

from synsight.curation.repair import steps
from synsight.curation.repair.repairing import repair
from synsight.models.prompting import Answer


class Slow:
    """Says what number an image has, after a while."""

    name = identity = "slow"

    def __call__(self, images, contexts):
        time.sleep(0.05)
        return [Answer(f"picture number {len(image)} of a heap") for image in images]


if __name__ == "__main__":
    steps.ROWS_A_BATCH = 4
    print("ready", flush=True)
    repair(sys.argv[1], captioner=Slow())
    print("done", flush=True)
