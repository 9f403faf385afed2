"""What the papers claim, asked again of one encoder on images anyone can get.

    python benchmarks/claims.py --data DIR --pool emoji-google,emoji-twitter,vemoji-fluent-emoji,\\
vemoji-fluent-emoji-flat --out claims/ [--reference local-dir:lite0]

Every run begins from random weights unless it says otherwise, and trains on the same rows; every model is
judged frozen on test concepts nobody trained on. Asked are

    labels      SimCLR's pretraining, then fine-tuning on few labels, against supervised training on them
    language    LGSimCLR against SimCLR: few-shot up, linear probe not
    width       the same with features of 2048 numbers in place of 512
    stopping    LGSimCLR four times as long: the last weights against those at the monitor's peak
    time        CatLIP against CLIP at equal and at 1/2.7 of the time, on clean captions and with half damaged
    start       Transfer Init against random rows, converged and after a fixed number of steps

Time is counted in steps times the measured cost of a step (both methods in turns, several times), so that
another job on the machine does not shorten one of the runs. Differences are paired by test row, their 95%
intervals draw the test groups again and count the training seeds. Stopped at any moment, the same command
goes on where it was.

What it leaves out: other encoders and sizes, tuning of any recipe, runs of more than two minutes.
"""

import argparse
import statistics
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from claims_page import page_of
from claims_runs import DRAWS, FEW, TEXT, Arm, arms_of, folder_of, settings_of, starts
from damage import damage_captions

from synsight import evaluate, files, words
from synsight.data.ingestion import ingest
from synsight.finetuning import finetune
from synsight.recipes import pretrain


def main() -> None:
    arguments = _arguments()
    catalogs = {False: _catalog(arguments, 0.0), True: _catalog(arguments, 0.5)}
    ratio = _step_ratio(arguments, catalogs[False])
    arms = arms_of(arguments, ratio)
    for seed in range(arguments.seeds):
        for arm in arms:
            _judged(arguments, arm, catalogs, seed)
        _finetuned(arguments, catalogs[False], seed)
    if arguments.reference:
        _reference(arguments, catalogs[False])
    page = "\n".join(page_of(arguments, arms, ratio))
    files.write_text(arguments.out / "claims.md", page)
    print(page)


def _catalog(arguments: argparse.Namespace, damage: float) -> Path:
    """The pool, with words, caption vectors and neighbours of one text column; perhaps with damaged texts."""
    path: Path = arguments.out / "catalogs" / ("damaged" if damage else "clean")
    if not path.exists():
        parts = [_rows(arguments.data, name) for name in arguments.pool.split(",")]
        table = pa.concat_tables(parts)
        if damage:
            table = _damaged(table, damage)
        texts = [
            ", ".join([caption or "", *(keywords or [])])
            for caption, keywords in zip(
                table["caption"].to_pylist(), table["keywords"].to_pylist(), strict=True
            )
        ]
        path.parent.mkdir(parents=True, exist_ok=True)
        source = path.with_suffix(".parquet")
        pq.write_table(table.append_column(TEXT, pa.array(texts)), source)
        ingest(source, out=path, label_column=arguments.labels.split(",")[0])
        source.unlink()
    words(path, text_columns=(TEXT,), caption_encoder="minilm", neighbours=8)
    return path


def _rows(folder: Path, name: str) -> pa.Table:
    kept = ["id", "image", "caption", "keywords", "category", "subcategory", "group", "split"]
    table = pq.read_table(folder / f"{name}.parquet", columns=kept)
    return table.set_column(0, "id", pa.array([f"{name}/{one}" for one in table["id"].to_pylist()]))


def _damaged(table: pa.Table, share: float) -> pa.Table:
    """Half of the hit rows get the text of another row, half lose most of theirs."""
    chosen = np.random.default_rng(0).permutation(table.num_rows)[: round(share * table.num_rows)]
    for kind, rows in zip(("shuffled", "truncated"), np.array_split(chosen, 2), strict=True):
        mask = np.zeros(table.num_rows, bool)
        mask[rows] = True
        whole = damage_captions(table, kind=kind, share=1.0, columns=("caption", "keywords"))
        for column in ("caption", "keywords"):
            place = table.schema.get_field_index(column)
            mixed = pc.if_else(pa.array(mask), whole[column].combine_chunks(), table[column].combine_chunks())
            table = table.set_column(place, column, mixed)
    return table


def _step_ratio(arguments: argparse.Namespace, catalog: Path) -> float:
    """CLIP's step over CatLIP's: measured in turns, the median."""
    kept = arguments.out / "step_ratio.json"
    if not kept.exists():
        ratios = []
        for _ in range(5):
            pace = [
                pretrain(
                    recipe, data=catalog, dry_run=True, **settings_of(arguments), steps=100
                ).seconds_per_step
                for recipe in ("clip", "catlip")
            ]
            ratios.append(pace[0] / pace[1])
        files.write_json(kept, sorted(ratios))
    return float(statistics.median(files.read_json(kept)))


def _judged(arguments: argparse.Namespace, arm: Arm, catalogs: dict[bool, Path], seed: int) -> None:
    folder = folder_of(arguments, arm.name)
    settings = settings_of(arguments) | {"seed": seed, "steps": arm.steps} | arm.changes
    data = catalogs[arm.damaged]
    summary = pretrain(arm.recipe, data=data, out=folder / f"run_{seed}", resume=True, **settings)
    # Images and labels are those of the clean catalog; the damaged one holds the same.
    for label in arguments.labels.split(","):
        _evaluated(
            arguments, summary.model, arm.name, catalogs[False], label, folder / f"{label}_{seed}", seed
        )
    if arm.name == "catlip, equal time" and not (folder / f"start_{seed}" / "results.json").exists():
        evaluate(
            [summary.model],
            data=catalogs[False],
            label=arguments.labels.split(",")[0],
            tasks=["start"],
            labels_per_class=[1, 5, 10],
            draws=DRAWS,
            seed=DRAWS * seed,
            out=folder / f"start_{seed}",
            names={summary.model: arm.name},
            check_copies=False,
        )


def _evaluated(
    arguments: argparse.Namespace,
    model: str,
    name: str,
    catalog: Path,
    label: str,
    out: Path,
    seed: int,
    image_size: int | None = None,
) -> None:
    if not (out / "results.json").exists():
        evaluate(
            [model],
            data=catalog,
            label=label,
            tasks=["knn", "linear", "fewshot", "episodes"],
            labels_per_class=[10],
            draws=DRAWS,
            seed=DRAWS * seed,
            out=out,
            names={model: name},
            image_size=image_size,
            check_copies=False,
        )


def _reference(arguments: argparse.Namespace, catalog: Path) -> None:
    size = int(settings_of(arguments)["image_size"])
    for label in arguments.labels.split(","):
        for side in (size, arguments.reference_size):
            name = f"reference, {side} px"
            out = arguments.out / "runs" / f"reference_{side}" / f"{label}_0"
            _evaluated(arguments, arguments.reference, name, catalog, label, out, 0, image_size=side)


def _finetuned(arguments: argparse.Namespace, catalog: Path, seed: int) -> None:
    size = int(settings_of(arguments)["image_size"])
    for name, model, head in starts(arguments, seed):
        for labels in FEW:
            out = arguments.out / "finetuned" / f"{name.replace(' ', '_')}_{labels}_{seed}"
            if (out / "results.json").exists():
                continue
            finetune(
                model,
                data=catalog,
                label=arguments.labels.split(",")[0],
                out=out,
                labels_per_class=labels,
                draws=1,
                steps=arguments.finetune_steps,
                seed=seed,
                start_head=head,
                name=name,
                image_size=None if Path(model).is_dir() else size,
            )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the Parquet files")
    parser.add_argument("--pool", required=True, help="files to pretrain on, commas between")
    parser.add_argument("--labels", default="category,subcategory")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=100, help="of SimCLR and LGSimCLR")
    parser.add_argument("--clip-steps", type=int, default=60)
    parser.add_argument("--finetune-steps", type=int, default=100)
    parser.add_argument("--reference", help="an encoder people would otherwise take, as local-dir:PATH")
    parser.add_argument("--reference-size", type=int, default=224)
    parser.add_argument("--set", nargs="*", default=["image_size=48"], metavar="SETTING=VALUE")
    return parser.parse_args()


if __name__ == "__main__":
    main()
