"""Which method pays? All recipes on one encoder, at equal time and at equal images seen.

Makes a catalog to pretrain on from Parquet files, reads words, caption vectors and neighbours from one text
column (caption and keywords joined, so that every method reads the same text), and calls `synsight sweep`
twice: each run so many minutes, then each run so many images. The models are asked for the labels of the
same catalog on concepts nobody trained on, and for the label of another catalog whose captions nobody read.
Stopped at any moment, the same command goes on where it was.

    python benchmarks/methods.py --data DIR --pool emoji-google,emoji-twitter,vemoji-fluent-emoji,\\
vemoji-fluent-emoji-flat --foreign clipart --set image_size=48 --out methods/

DIR holds NAME.parquet with the columns image, caption, keywords, category, subcategory, group and split. With
`--more icons` these rows join the pool, and the questions stay those of the first table.
"""

import argparse
import statistics
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from turns import machine

from synsight import files, words
from synsight.data.catalog import Catalog
from synsight.data.ingestion import ingest
from synsight.records import Result, SweepRun
from synsight.workflow import sweep

RECIPES = [
    "supervised",
    "simclr",
    "simsiam",
    "clip",
    "siglip",
    "lgsimclr",
    "lgsimsiam",
    "lgslip",
    "xclr",
    "catlip",
    "superclass",
    "superclip",
]
TEXT = "text"


def main() -> None:
    arguments = _arguments()
    out: Path = arguments.out
    names = arguments.pool.split(",")
    asked = _catalog(out / "pool", arguments.data, names, read=True)
    foreign = _catalog(out / arguments.foreign, arguments.data, [arguments.foreign], read=False)
    pool = asked
    if arguments.more:
        pool = _catalog(
            out / "pool_and_more", arguments.data, [*names, *arguments.more.split(",")], read=True
        )
    changes = dict(change.split("=", 1) for change in arguments.set)
    pages = []
    for rule, value in (("minutes_per_run", arguments.minutes), ("seen_images", arguments.images)):
        if not value:
            continue
        summary = sweep(
            arguments.recipes.split(","),
            data=pool,
            label="category",
            out=out / f"{'more_' if arguments.more else ''}{rule}",
            tasks=("knn", "linear", "fewshot"),
            eval_data=[asked, foreign],
            label_of={"pool": ["category", "subcategory"], arguments.foreign: "category"},
            seed=list(range(arguments.seeds)),
            **{rule: value, "text_column": TEXT, **changes},
        )
        title = f"{value:g} minute(s) a run" if rule == "minutes_per_run" else f"{value:,} images a run"
        pages.append(
            _page(title, summary.runs, summary.results, Catalog.open(pool).count_rows("split = 'train'"))
        )
    page = "\n".join([machine("synsight", "torch", "timm", threads=_threads()), "", *pages])
    files.write_text(out / ("more.md" if arguments.more else "methods.md"), page)
    print(page)


def _catalog(path: Path, folder: Path, names: Sequence[str], *, read: bool) -> Path:
    """A catalog of some Parquet files; `read`: with words, caption vectors and neighbours."""
    if not path.exists():
        table = path.with_suffix(".parquet")
        table.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.concat_tables([_rows(folder, name) for name in names]), table)
        ingest(table, out=path, label_column="category")
        table.unlink()
    if read:
        words(path, text_columns=(TEXT,), caption_encoder="minilm", neighbours=8)
    return path


def _rows(folder: Path, name: str) -> pa.Table:
    kept = ["id", "image", "caption", "keywords", "category", "subcategory", "group", "split"]
    table = pq.read_table(folder / f"{name}.parquet", columns=kept)
    pairs = zip(table["caption"].to_pylist(), table["keywords"].to_pylist(), strict=True)
    texts = [", ".join([caption or "", *(keywords or [])]) for caption, keywords in pairs]
    ids = pa.array([f"{name}/{one}" for one in table["id"].to_pylist()])
    return table.set_column(0, "id", ids).append_column(TEXT, pa.array(texts))


def _page(title: str, runs: Sequence[SweepRun], results: Sequence[Result], rows: int) -> str:
    means = [one for one in results if one.metric == "acc1"]
    columns = list(dict.fromkeys((one.details["probe"], one.task, one.n_labels) for one in means))
    models = list(dict.fromkeys(run.model for run in runs))
    lines = [
        f"## {title}",
        "",
        f"Pretraining rows: {rows:,}. Means over the training seeds; in brackets the 95% interval that draws "
        "the test groups again.",
        "",
    ]
    for probe in dict.fromkeys(column[0] for column in columns):
        mine = [column for column in columns if column[0] == probe]
        heads = [f"{task}" if labels is None else f"{labels} labels/class" for _, task, labels in mine]
        tests = {one.n_test for one in means if one.details["probe"] == probe}
        lines += [f"### {probe} ({', '.join(f'{one:,}' for one in sorted(tests))} test images)", ""]
        lines += ["| | " + " | ".join(heads) + " |", "|---|" + "--:|" * len(heads)]
        chance = [_of(means, None, column) for column in mine]
        lines.append("| most frequent class | " + " | ".join(f"{one.baseline:.3f}" for one in chance) + " |")
        order = sorted(models, key=lambda model: -_of(means, model, mine[0]).value)
        for model in order:
            cells = [_cell(_of(means, model, column)) for column in mine]
            lines.append(f"| {model} | " + " | ".join(cells) + " |")
        lines.append("")
    lines += [
        "### The runs",
        "",
        "| | steps | seconds | kept step | effective rank |",
        "|---|--:|--:|--:|--:|",
    ]
    for model in models:
        mine_runs = [run for run in runs if run.model == model]
        cells = [
            f"{statistics.mean(getattr(run, field) for run in mine_runs):.0f}"
            for field in ("steps", "seconds", "best_step", "rankme")
        ]
        lines.append(f"| {model} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


def _of(means: Sequence[Result], model: str | None, column: tuple[str, str, int | None]) -> Result:
    """The record of a model (None: any) in a column."""
    return next(
        one
        for one in means
        if (one.details["probe"], one.task, one.n_labels) == column and model in (None, one.model)
    )


def _cell(one: Result) -> str:
    seeds = one.details["seed_values"]
    spread = f" ({min(seeds):.3f} to {max(seeds):.3f})" if len(seeds) > 1 else ""
    return f"{one.value:.3f} [{one.ci_low:.3f}, {one.ci_high:.3f}]{spread}"


def _threads() -> int:
    import torch

    return torch.get_num_threads()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the Parquet files")
    parser.add_argument("--pool", required=True, help="files to pretrain on, commas between")
    parser.add_argument("--foreign", required=True, help="file that is only asked for its category")
    parser.add_argument("--more", help="files whose rows join the pool")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--recipes", default=",".join(RECIPES))
    parser.add_argument("--minutes", type=float, default=1.0, help="0: leave this table out")
    parser.add_argument("--images", type=int, default=50_000, help="0: leave this table out")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--set", nargs="*", default=[], metavar="SETTING=VALUE", help="of every run")
    return parser.parse_args()


if __name__ == "__main__":
    main()
