"""A full page of records, with a place for hostile text in every field that holds foreign words."""

import io

from PIL import Image

from synsight.records import Example, Gate, IngestSummary, Result, RunSummary, Version, WordsSummary
from synsight.reports import ReportPage

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
