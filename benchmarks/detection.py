"""Does a detector learn through the encoder, and is it ahead of one on an encoder that stays untrained?

    python benchmarks/detection.py --seeds 3
    python benchmarks/detection.py --data scenes/ --models run/model random:resnet18 --image-size 128

Without --data, 300 scenes of 64 px are composed, with one to three flags, faces or animals each, and 80 test
scenes of other drawings. For each model Mask R-CNN is trained with the encoder and with the encoder frozen,
by each seed. Printed as a table: box and mask AP, mean over the seeds; in brackets the 95% interval of
resampled test images of the first seed, then the lowest and the highest seed. Untrained weights have a seed,
too. Chance is next to nothing: a detector that has not learnt finds no box.

What it leaves out: large-scale jitter, long schedules, images with other sizes of objects.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from turns import machine

from synsight.data.ingestion import ingest_source
from synsight.data.scenes import SceneConfig, SceneSource
from synsight.finetuning.detection import detect
from synsight.records import Result

METRICS = ("box_ap50", "box_ap", "mask_ap50", "mask_ap")
CLASSES = ("flags", "smileys-emotion", "animals-nature")


def main() -> None:
    asked = _arguments()
    print(machine("synsight", "torch", "torchvision", "faster-coco-eval", threads=1), flush=True)
    print("\n| encoder | " + " | ".join(METRICS) + " | seconds |")
    print("|---|" + "--:|" * (len(METRICS) + 1))
    with tempfile.TemporaryDirectory() as folder:
        data = asked.data or scenes(Path(folder) / "scenes", asked.scenes)
        for model in asked.models:
            for frozen in (False, True):
                runs = [
                    detect(
                        model,
                        data=data,
                        out=Path(folder) / f"{model.replace('/', '_')}_{frozen}_{seed}",
                        seed=seed,
                        frozen=frozen,
                        image_size=asked.image_size,
                        batch_size=8,
                        steps=asked.steps,
                        lr=3e-3,
                        channels=32,
                        head_width=128,
                        regions=16,
                        proposals=100,
                    )
                    for seed in range(asked.seeds)
                ]
                print(line(f"{model}, {'frozen' if frozen else 'fine-tuned'}", runs), flush=True)


def scenes(path: Path, counts: Sequence[int]) -> Path:
    """Composed ones, the same on every run."""
    config = SceneConfig(
        scenes=(counts[0], 0, counts[1]), classes=CLASSES, side=64, objects=(1, 3), sizes=(0.25, 0.6)
    )
    ingest_source(SceneSource(config), name="scenes", out=path)
    return path


def line(name: str, runs: Sequence[Sequence[Result]]) -> str:
    """One row of the table."""
    cells = []
    for metric in METRICS:
        found = [one for run in runs for one in run if one.metric == metric]
        values = [one.value for one in found]
        first = found[0]
        cell = f"{fmean(values):.2f} [{first.ci_low:.2f}, {first.ci_high:.2f}]"
        cells.append(f"{cell} ({min(values):.2f} to {max(values):.2f})" if len(values) > 1 else cell)
    return f"| {name} | " + " | ".join(cells) + f" | {fmean(run[0].seconds for run in runs):.0f} |"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="a catalog with boxes and masks; else scenes are composed")
    parser.add_argument("--scenes", type=int, nargs=2, default=(300, 80), help="to train on, to test on")
    parser.add_argument("--models", nargs="+", default=["random:test_resnet"])
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--seeds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
