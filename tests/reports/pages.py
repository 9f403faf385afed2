"""A full page of records, with a place for hostile text in every field that holds foreign words."""

import io

from PIL import Image

from synsight.records import (
    Example,
    Gate,
    IngestSummary,
    Result,
    RunSummary,
    SweepRun,
    Version,
    WordsSummary,
)
from synsight.reports import ReportPage, SweepPage

MODELS = {"random encoder, frozen": 0.256, "supervised from scratch": 0.468, "CatLIP (captions)": 0.524}


def picture() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (200, 80, 20)).save(buffer, "WEBP")
    return buffer.getvalue()


def results(models=MODELS, numbers=(None, 10), prefix="") -> list[Result]:
    found = []
    for model, value in models.items():
        for n_labels in numbers:
            found.append(
                Result(
                    model=prefix + model,
                    dataset="emoji",
                    task="knn" if n_labels is None else "fewshot",
                    metric="acc1",
                    value=value,
                    ci_low=value - 0.04,
                    ci_high=value + 0.04,
                    n_labels=n_labels,
                    n_test=1130,
                    baseline=0.206,
                    details={} if n_labels is None else {"draws": 3},
                )
            )
    return found


def difference(value=0.056, low=0.026, high=0.086, prefix="") -> Result:
    return Result(
        model=prefix + "CatLIP (captions)",
        dataset="emoji",
        task="fewshot",
        metric="acc1_difference",
        value=value,
        ci_low=low,
        ci_high=high,
        n_labels=10,
        n_test=1130,
        details={"against": prefix + "supervised from scratch"},
    )


def run(prefix="") -> RunSummary:
    curve = [{"step": s, "kind": "train", "loss": 5.0 - s / 100} for s in range(0, 300, 10)]
    curve += [{"step": s, "kind": "monitor", "knn_acc1": 0.2 + s / 1000} for s in range(0, 300, 100)]
    return RunSummary(
        run=prefix + "demo/run",
        model="demo/run/model",
        steps=300,
        best_step=200,
        monitor="knn_acc1",
        best_value=0.4,
        stopped_because=prefix + "all epochs were done",
        seconds=90,
        name=prefix + "CatLIP (captions)",
        curve=curve,
        settings={prefix + "optim.lr": prefix + "1e-3"},
    )


def page(text: str = "") -> ReportPage:
    return ReportPage(
        title=text + "emoji pilot",
        subject=text + "Captions",
        results=[*results(numbers=(None, 1, 10), prefix=text), difference(prefix=text)],
        runs=[run(text)],
        ingest=IngestSummary(
            catalog=text + "demo/catalog",
            rows=5416,
            rejected=3,
            columns={text + "image": text + "bild"},
            reasons={text + "truncated": 3},
            splits={text + "train": 3799},
        ),
        words=WordsSummary(
            captions=3799,
            share_with_word=0.981,
            words_per_caption=2.64,
            vocabulary_size=612,
            top=[(text + "dog", 40), (text + "cat", 30)],
            unmatched=[(text + "ok", 9)],
        ),
        examples=[
            Example(
                id=text + "1",
                thumbnail=picture(),
                caption=text,
                words=[text],
                label=text,
                predicted=[(text, 0.5)],
            )
        ],
        gates=[Gate(name=text + "data", go=True, sentence=text, checks=[(text, text, False)])],
        versions=[Version(version=1, verb=text + "ingest", created_at=text, rows=5416)],
        settings={text + "label": {text: text}},
        command=text + "synsight pilot emoji",
        created_at=text,
        packages={text + "torch": text},
    )


SWEPT = {"random encoder": (0.25, 22.0), "simclr": (0.52, 60.0), "catlip": (0.63, 91.0)}
"""Model -> its accuracy and its effective rank."""


def sweep_runs(prefix="", seeds=(0, 1, 2)) -> list[SweepRun]:
    found = []
    for model, (value, rank) in SWEPT.items():
        recipe = "random" if model.startswith("random") else prefix + model
        found += [
            SweepRun(
                name=f"{model}-seed_{seed}",
                model=prefix + model,
                recipe=recipe,
                encoder=prefix + "resnet18",
                seed=seed,
                embedding_dim=512,
                rankme=rank + seed,
                rank_rows=1130,
                steps=0 if recipe == "random" else 300,
                best_step=0 if recipe == "random" else 240,
                seconds=0.0 if recipe == "random" else 110.0 + seed,
                monitor=prefix + "knn_acc1",
                best_value=None if recipe == "random" else value + seed / 100,
                stopped_because=prefix + "finished",
            )
            for seed in seeds
        ]
    return found


def sweep_results(prefix="", seeds=(0, 1, 2), probe="emoji: category") -> list[Result]:
    means = [
        Result(
            model=prefix + model,
            dataset="emoji",
            task=task,
            metric="acc1",
            value=value + shift,
            ci_low=value + shift - 0.03,
            ci_high=value + shift + 0.03,
            n_labels=n_labels,
            n_test=1130,
            baseline=0.206,
            details={
                "draws": len(seeds) * (1 if n_labels is None else 3),
                "probe": prefix + probe,
                "training_seeds": list(seeds),
                "seed_values": [value + shift + (seed - 1) / 100 for seed in seeds],
            },
        )
        for model, (value, _) in SWEPT.items()
        for task, n_labels, shift in (("knn", None, 0.0), ("fewshot", 10, -0.1))
    ]
    gain = Result(
        model=prefix + "catlip",
        dataset="emoji",
        task="knn",
        metric="acc1_difference",
        value=0.11,
        ci_low=0.08,
        ci_high=0.14,
        n_test=1130,
        details={"against": prefix + "simclr", "probe": prefix + probe},
    )
    return [*means, gain]


def sweep_page(text: str = "") -> SweepPage:
    failed = SweepRun(
        name="clip", model=text + "clip", recipe=text + "clip", encoder="x", seed=0, failure=text + "nan"
    )
    return SweepPage(
        title=text + "sweep",
        runs=[*sweep_runs(text), failed],
        results=sweep_results(text),
        notes=[text],
        settings={text + "data": text},
        command=text + "synsight sweep",
        packages={text + "torch": text},
    )


READINGS = ("knn_acc1", "fewshot_acc1", "rankme", "lidar", "alignment", "uniformity", "feature_spread")


def monitored_run() -> RunSummary:
    """A run whose monitor reads all there is; it peaks at step 200."""
    curve = [
        {"step": step, "kind": "train", "loss": 5 - step / 100, "elapsed_seconds": step / 2}
        for step in range(10, 310, 10)
    ]
    for step in (100, 200, 300):
        values = {name: 0.5 - abs(step - 200) / 1000 + number for number, name in enumerate(READINGS)}
        own = {"best": step <= 200, "monitor_seconds": 0.1, "standard_error": 0.01, "zeroshot_acc1": None}
        curve.append({"step": step, "kind": "monitor", **values, **own})
    return RunSummary(
        run="demo/run",
        model="demo/run/model",
        steps=300,
        best_step=200,
        monitor="knn_acc1",
        best_value=0.5,
        stopped_because="knn_acc1 peaked at step 200 and later training lost 0.1",
        seconds=150,
        name="LGSimCLR",
        curve=curve,
    )
