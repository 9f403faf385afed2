"""How much of CLIP's time do CatLIP and SuperClass need to reach CLIP's best transfer?

The same ViT learns from the same captions. First CLIP, with its usual text tower (12 layers of 512), with
smaller ones and with caption embeddings made beforehand, each for several budgets of time; its best k-NN and
its best few-label accuracy on the test rows are the mark. Then CatLIP and SuperClass, with and without the
levers (half the tokens, small pictures first, both), for growing shares of the time that CLIP took. Every run
has a whole schedule of its own, so a short run is a run planned to be short. The answer for each variant is
the least time that reached both marks, as a ratio to the time of each CLIP that set or reached them.

Time is what the training loop took, decoding and monitor included; runs follow one another on a machine that
should be otherwise idle. What is finished in --out is not repeated.

    python benchmarks/time_to_quality.py --data cat/ --label category --out ttq/ --minutes 4
"""

import argparse
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
FEW = 10


@dataclass(frozen=True)
class Point:
    """One run: what it took and what it gave."""

    variant: str
    share: float
    """Of the budget."""
    seed: int
    seconds: float
    steps: int
    knn: float
    few: float


def main() -> None:
    arguments = _arguments()
    points = []
    budget = 60.0 * arguments.minutes
    for seed in range(arguments.seeds):
        for variant, settings in CLIPS.items():
            for share in arguments.clip_shares:
                points.append(_point(arguments, variant, "clip", settings, share, budget, seed))
        for recipe in LEARNERS:
            for lever, settings in LEVERS.items():
                for share in arguments.shares:
                    points.append(_point(arguments, recipe + lever, recipe, settings, share, budget, seed))
    page = _page(arguments, points)
    files.write_text(arguments.out / "time_to_quality.md", page)
    files.write_json(arguments.out / "time_to_quality.json", [asdict(point) for point in points])
    print(page)


def _point(
    arguments: argparse.Namespace,
    variant: str,
    recipe: str,
    settings: dict[str, str],
    share: float,
    budget: float,
    seed: int,
) -> Point:
    name = f"{variant.replace(', ', '_').replace(' ', '-')}_{share:g}_s{seed}"
    run, judged = arguments.out / "runs" / name, arguments.out / "evaluations" / name
    changes: dict[str, object] = {
        "label": arguments.label,
        "encoder": arguments.encoder,
        "image_size": arguments.image_size,
        "batch_size": arguments.batch_size,
        "optim.lr": arguments.lr,
        "optim.weight_decay": 0.1,
        "text_column": arguments.text_column,
        "monitor.metric": "none",  # the last weights count, as nobody stops in the middle of a budget
        "seed": seed,
        **{key: value.replace("SMALL", str(arguments.small_size)) for key, value in settings.items()},
    }
    planned = arguments.out / "steps" / f"{name}.json"
    if not planned.exists():
        # The step is timed for a run of about the length it will have, since levers depend on the length.
        quote = pretrain(recipe, data=arguments.data, dry_run=True, steps=200, **changes)
        planned.parent.mkdir(parents=True, exist_ok=True)
        files.write_json(planned, max(20, round(share * budget / quote.seconds_per_step)))
    steps = files.read_json(planned)
    summary = pretrain(recipe, data=arguments.data, out=run, resume=True, steps=steps, **changes)
    if not (judged / "results.json").exists():
        evaluate(
            [summary.model],
            data=arguments.data,
            label=arguments.label,
            tasks=["knn", "curve"],
            labels_per_class=[FEW],
            out=judged,
            draws=3,
            names={summary.model: name},
        )
    results = read_results(judged)
    knn = [one.value for one in results if one.task == "knn" and one.metric == "acc1"]
    few = [one.value for one in results if one.n_labels == FEW and one.metric == "acc1"]
    return Point(
        variant=variant,
        share=share,
        seed=seed,
        seconds=summary.seconds,
        steps=summary.steps,
        knn=statistics.mean(knn),
        few=statistics.mean(few),
    )


def _page(arguments: argparse.Namespace, points: list[Point]) -> str:
    clips = [point for point in points if point.variant in CLIPS]
    lines = [
        "# Time to CLIP's best transfer",
        "",
        f"{machine('synsight', 'torch', 'timm', threads=_threads())}",
        f"{arguments.encoder} at {arguments.image_size} px, batch {arguments.batch_size}, "
        f"{arguments.seeds} seed(s), budget {arguments.minutes:g} minutes.",
        "",
        "| run | share of the budget | steps | seconds | k-NN | 10 labels a class |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for variant, share in dict.fromkeys((point.variant, point.share) for point in points):
        mine = [point for point in points if (point.variant, point.share) == (variant, share)]
        cells = [
            f"{statistics.mean(getattr(point, field) for point in mine):.{digits}f}"
            for field, digits in (("steps", 0), ("seconds", 0), ("knn", 3), ("few", 3))
        ]
        lines.append(f"| {variant} | {share:g} | " + " | ".join(cells) + " |")
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
    shares = dict.fromkeys(point.share for point in points)
    means = []
    for share in shares:
        mine = [point for point in points if point.share == share]
        values = {
            field: statistics.mean(getattr(point, field) for point in mine)
            for field in ("seconds", "knn", "few")
        }
        means.append(Point(variant=mine[0].variant, share=share, seed=-1, steps=mine[0].steps, **values))
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
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--text-column", default="caption")
    parser.add_argument("--minutes", type=float, default=4.0, help="CLIP's largest budget")
    parser.add_argument("--clip-shares", type=float, nargs="+", default=[0.25, 0.5, 1.0])
    parser.add_argument("--shares", type=float, nargs="+", default=[0.05, 0.1, 0.2, 0.33, 0.5])
    parser.add_argument("--seeds", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
