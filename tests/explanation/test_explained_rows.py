"""What `explain` takes: images by name, folders of them, catalogs; models with words, labels or neither."""

import json

import pyarrow as pa
import pytest
import torch

from explanation.small_explained import LABELS, linear_model, words_model
from models.small_models import picture, small_model
from synsight.data.catalog import Catalog, Commit
from synsight.errors import CatalogError, DataError, ImageError, ModelError, UsageError
from synsight.explanation.explain import explain
from synsight.explanation.explained_rows import catalog_of, rows_of_catalog, rows_of_files


@pytest.fixture
def folder(tmp_path):
    """Three images, one of them deeper, and what is none."""
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for name in ("b.png", "a.jpg", "deep/c.png"):
        picture(len(name)).save(tmp_path / "in" / name)
    (tmp_path / "in" / "broken.png").write_bytes(b"not an image")
    (tmp_path / "in" / "notes.txt").write_text("no image's name", encoding="utf-8")
    (tmp_path / "in" / ".hidden.png").write_bytes(b"")
    return tmp_path / "in"


def test_a_folder_gives_its_images_in_order_and_says_which_are_none(folder):
    found = rows_of_files([folder], count=12)
    assert [one.id for one in found.rows] == ["a.jpg", "b.png", "deep/c.png"]
    assert found.rejected == {"broken.png": "not_an_image"}
    assert [one.id for one in rows_of_files([folder], count=2).rows] == ["a.jpg", "b.png"]


def test_images_that_are_named_are_all_explained(folder, tmp_path):
    targets = [folder / "a.jpg", folder / "b.png"]
    found = explain(words_model(), targets, out=tmp_path / "out", count=1, heat=False, progress=False)
    assert [one.id for one in found.explanations] == ["a.jpg", "b.png"]


def test_a_folder_is_explained_from_end_to_end(folder, tmp_path):
    found = explain(words_model(), folder, out=tmp_path / "out", heat=False, progress=False)
    value = json.loads((tmp_path / "out" / "explanations.json").read_text(encoding="utf-8"))
    assert [one["id"] for one in value["explanations"]] == ["a.jpg", "b.png", "deep/c.png"]
    assert value["rejected"] == {"broken.png": "not_an_image"} == found.rejected


def test_a_named_file_that_is_no_image_is_an_error(folder):
    with pytest.raises(ImageError, match=r"broken\.png: is neither a catalog nor an image"):
        rows_of_files([folder / "a.jpg", folder / "broken.png"], count=12)


def test_a_folder_without_an_image_says_what_it_looked_at(tmp_path):
    (tmp_path / "x.png").write_bytes(b"no")
    with pytest.raises(DataError, match="found no image that can be read among 1 files"):
        rows_of_files([tmp_path], count=12)


def test_what_cannot_be_a_target_is_said(catalog, tmp_path):
    with pytest.raises(UsageError, match="found nothing; name images"):
        catalog_of([])
    with pytest.raises(UsageError, match="one catalog or several images, found 2"):
        catalog_of([catalog, tmp_path])
    with pytest.raises(CatalogError, match="nowhere: expected an image, a folder of images or a catalog"):
        catalog_of([tmp_path / "nowhere"])
    assert catalog_of([catalog.path]).path == catalog.path


def test_a_true_label_is_called_as_the_model_calls_its_classes(tmp_path):
    batch = pa.RecordBatch.from_pydict(
        {"id": ["a", "b"], "image": [b"", b""], "defects": [1.0, float("nan")]}
    )
    made = Commit(verb="ingest", config={})
    catalog = Catalog.create(tmp_path / "cat", batch.schema, commit=made)
    catalog.append(catalog.write_fragment(batch), commit=made)
    rows = rows_of_catalog(catalog, where=None, count=2, label="defects", seed=0)
    assert [one.label for one in rows.rows] == ["1", None]


def test_a_model_with_labels_alone_shows_its_likeliest_and_where(folder, tmp_path):
    model = small_model(None)
    model = model.adapted(torch.nn.Linear(model.config.embedding_dim, 3), LABELS, method="adapt:logistic")
    found = explain(model, folder / "a.jpg", out=tmp_path / "out", progress=False)
    (record,) = found.explanations
    assert (record.words, record.contributions, record.why_not, found.calibration) == ([], None, None, "")
    assert [one.kind for one in record.heat] == ["class"]
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert all(label in page for label in LABELS)


def test_a_model_that_only_embeds_needs_a_reference(folder, catalog, tmp_path):
    with pytest.raises(ModelError, match="nothing to explain"):
        explain(small_model(None), folder, out=tmp_path / "out", progress=False)
    found = explain(small_model(None), folder, out=tmp_path / "out", reference=catalog, progress=False)
    assert all(len(one.near) == 4 for one in found.explanations)


def test_several_answers_stand_above_an_explanation(folder, tmp_path):
    model = linear_model()
    with torch.no_grad():
        model.head.bias += torch.tensor([30.0, 30.0, -30.0])
    both = model.adapted(model.head, LABELS, method="x", label_scores="sigmoid")
    explain(both, folder / "a.jpg", out=tmp_path / "out", heat=False, progress=False)
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "red, green" in page or "green, red" in page
    with torch.no_grad():
        model.head.bias -= 60
    explain(both, folder / "a.jpg", out=tmp_path / "out", heat=False, progress=False, locale="ja")
    assert "該当するラベルなし" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
