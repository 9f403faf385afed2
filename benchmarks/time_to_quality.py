"""How much of CLIP's time do CatLIP and SuperClass need to reach CLIP's best transfer?

The same ViT learns from the same captions. First CLIP, with its usual text tower (12 layers of 512), with a
smaller one and with caption embeddings made beforehand, each for several lengths; its best k-NN and its
best few-label accuracy on the test rows are the mark. Then CatLIP and SuperClass, with and without levers
(half the tokens, small pictures first, both), for several lengths. Every run has a whole schedule of its
own: a short run is a run planned to be short. The answer for each variant is the least time that reached
both marks, as a ratio to the time of each CLIP that set or reached them.

Time is the processor time of the whole call, decoding and monitor included, so that another job beside does
not count (give each run one thread: OMP_NUM_THREADS=1). What is finished in --out is not repeated; a run that
was cut off begins again, since its time is one piece.

    python benchmarks/time_to_quality.py --data cat/ --label category --out ttq/
"""

import argparse
import os
import shutil
import statistics
from dataclasses import asdict, dataclass
from pathlib import Path

from turns import machine

from synsight import files
from synsight.evaluation import evaluate, read_results
from synsight.recipes import pretrain

CLIPS = {
    "CLIP, 12-layer text": {"method.text": "clip-transformer"},
    "CLIP, 4-layer text": {"method.text": "transformer"},
    "CLIP, captions embedded before": {"method.text_frozen": "true"},
}
HALF = {"levers.token_keep": "0.5"}
LEVERS = {
    "": {},
    ", half the tokens": HALF,
    ", small pictures first": {"levers.small_size": "SMALL"},
    ", both levers": {**HALF, "levers.small_size": "SMALL"},
}
LEARNERS = ("catlip", "superclass")
SMALL_MONITOR = {
    "monitor.every_steps": 10_000,
    "monitor.train_rows": 200,
    "monitor.val_rows": 200,
    "monitor.views_rows": 32,
    "monitor.episodes": 50,
}
"""A monitor before the first step and after the last; its usual size would cost as much as several steps."""
FEW = 10


@dataclass(frozen=True)
class Point:
    """One run: what it took and what it gave."""

    variant: str
    steps: int
    seed: int
    seconds: float
    """Of the processor."""
    knn: float
    few: float


def main() -> None:
    arguments = _arguments()
    points = []
    for seed in range(arguments.seeds):
        for variant, settings in CLIPS.items():
            for steps in arguments.clip_steps:
                points.append(_point(arguments, variant, "clip", settings, steps, seed))
        for recipe in LEARNERS:
            for lever, settings in LEVERS.items():
                for steps in arguments.steps:
                    points.append(_point(arguments, recipe + lever, recipe, settings, steps, seed))
    page = _page(arguments, points)
    files.write_text(arguments.out / "time_to_quality.md", page)
    files.write_json(arguments.out / "time_to_quality.json", [asdict(point) for point in points])
    print(page)


def _point(
    arguments: argparse.Namespace, variant: str, recipe: str, settings: dict[str, str], steps: int, seed: int
) -> Point:
    name = f"{variant.replace(', ', '_').replace(' ', '-')}_{steps}_s{seed}"
    run, judged = arguments.out / "runs" / name, arguments.out / "evaluations" / name
    changes: dict[str, object] = {
        "label": arguments.label,
        "encoder": arguments.encoder,
        "image_size": arguments.image_size,
        "batch_size": arguments.batch_size,
        "optim.lr": arguments.clip_lr if recipe == "clip" else arguments.lr,
        "optim.weight_decay": 0.1,
        "text_column": arguments.text_column,
        "monitor.metric": "none",  # the last weights count, as nobody stops in the middle of a budget
        **SMALL_MONITOR,
        "seed": seed,
        **{key: value.replace("SMALL", str(arguments.small_size)) for key, value in settings.items()},
    }
    took = arguments.out / "seconds" / f"{name}.json"
    if not took.exists():
        shutil.rmtree(run, ignore_errors=True)
        before = _processor_seconds()
        pretrain(recipe, data=arguments.data, out=run, steps=steps, **changes)
        took.parent.mkdir(parents=True, exist_ok=True)
        files.write_json(took, _processor_seconds() - before)
    model = run / "model"
    if not (judged / "results.json").exists():
        evaluate(
            [model],
            data=arguments.data,
            label=arguments.label,
            tasks=["knn", "curve"],
            labels_per_class=[FEW],
            out=judged,
            draws=3,
            names={model: name},
        )
    results = read_results(judged)
    knn = [one.value for one in results if one.task == "knn" and one.metric == "acc1"]
    few = [one.value for one in results if one.n_labels == FEW and one.metric == "acc1"]
    return Point(
        variant=variant,
        steps=steps,
        seed=seed,
        seconds=files.read_json(took),
        knn=statistics.mean(knn),
        few=statistics.mean(few),
    )


def _processor_seconds() -> float:
    """Of this process, its threads and the processes that it waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _page(arguments: argparse.Namespace, points: list[Point]) -> str:
    clips = [point for point in points if point.variant in CLIPS]
    lines = [
        "# Time to CLIP's best transfer",
        "",
        f"{machine('synsight', 'torch', 'timm', threads=_threads())}",
        f"{arguments.encoder} at {arguments.image_size} px, batch {arguments.batch_size}, "
        f"{arguments.seeds} seed(s), seconds of the processor.",
        "",
        "| run | steps | seconds | k-NN | 10 labels a class |",
        "|---|--:|--:|--:|--:|",
    ]
    for variant, steps in dict.fromkeys((point.variant, point.steps) for point in points):
        mine = [point for point in points if (point.variant, point.steps) == (variant, steps)]
        cells = [
            f"{statistics.mean(getattr(point, field) for point in mine):.{digits}f}"
            for field, digits in (("seconds", 0), ("knn", 3), ("few", 3))
        ]
        lines.append(f"| {variant} | {steps} | " + " | ".join(cells) + " |")
    lines += ["", *_answers(points, clips)]
    return "\n".join(lines) + "\n"


def _answers(points: list[Point], clips: list[Point]) -> list[str]:
    """For each CLIP: its best of both readings (means over the seeds), and the least time that reached it."""
    lines = ["| mark | set by | seconds | reached by | seconds | ratio |", "|---|---|--:|---|--:|--:|"]
    for variant in CLIPS:
        means = _means([point for point in clips if point.variant == variant])
        best_knn = max(mean.knn for mean in means)
        best_few = max(mean.few for mean in means)
        reached_all = [mean for mean in means if mean.knn >= best_knn and mean.few >= best_few]
        took = min((mean.seconds for mean in reached_all), default=max(mean.seconds for mean in means))
        mark = f"k-NN {best_knn:.3f}, 10 labels {best_few:.3f}"
        for name in dict.fromkeys(point.variant for point in points if point.variant not in CLIPS):
            there = [
                mean
                for mean in _means([point for point in points if point.variant == name])
                if mean.knn >= best_knn and mean.few >= best_few
            ]
            least = min((mean.seconds for mean in there), default=None)
            cells = ("not reached", "") if least is None else (f"{least:.0f}", f"1/{took / least:.1f}")
            lines.append(f"| {mark} | {variant} | {took:.0f} | {name} | {cells[0]} | {cells[1]} |")
    return lines


def _means(points: list[Point]) -> list[Point]:
    means = []
    for steps in dict.fromkeys(point.steps for point in points):
        mine = [point for point in points if point.steps == steps]
        values = {
            field: statistics.mean(getattr(point, field) for point in mine)
            for field in ("seconds", "knn", "few")
        }
        means.append(Point(variant=mine[0].variant, steps=steps, seed=-1, **values))
    return means


def _threads() -> int:
    import torch

    return torch.get_num_threads()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", required=True, help="a catalog with words and caption embeddings")
    parser.add_argument("--label", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--encoder", default="vit_tiny_patch16_224")
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--small-size", type=int, default=32)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--clip-lr", type=float, default=3e-4)
    parser.add_argument("--lr", type=float, default=1e-3, help="of CatLIP and SuperClass")
    parser.add_argument("--text-column", default="caption")
    parser.add_argument("--clip-steps", type=int, nargs="+", default=[100, 200])
    parser.add_argument("--steps", type=int, nargs="+", default=[25, 50, 100, 200])
    parser.add_argument("--seeds", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
