"""COCO annotations and saved Hugging Face data sets, in and (COCO) out."""

import json

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import png, put

from synsight.data import Catalog, ingest
from synsight.data.export import export_coco
from synsight.data.sources import open_source
from synsight.errors import CatalogError, DataError
from synsight.stages import REJECTED

IMAGES = [{"id": 7, "file_name": "a.png"}, {"id": 9, "file_name": "b.png"}, {"id": 11, "file_name": "no.png"}]
CAPTIONS = {
    "images": IMAGES,
    "annotations": [
        {"id": 1, "image_id": 7, "caption": "a dog\non grass"},
        {"id": 2, "image_id": 7, "caption": "one dog"},
        {"id": 3, "image_id": 9, "caption": "a cat"},
    ],
}
INSTANCES = {
    "images": IMAGES[:2],
    "categories": [{"id": 18, "name": "dog"}, {"id": 2, "name": "ball"}],
    "annotations": [
        {"image_id": 7, "category_id": 18, "bbox": [1, 2, 3.5, 4]},
        {"image_id": 7, "category_id": 2, "bbox": [0, 0, 2, 2]},
        {"image_id": 7, "category_id": 18, "bbox": [5, 5, 2, 2]},
    ],
}


def rows_of(place):
    source = open_source(place)
    rows = [row for chunk in source.chunks() for row in chunk.read().to_pylist()]
    assert len(rows) == source.rows
    return rows


@pytest.mark.parametrize(
    ("annotations", "images"),
    [
        ("annotations/captions_val2017.json", "val2017/"),
        ("annotations/captions_val2017.json", "images/"),
        ("captions.json", ""),
        ("captions.json", "images/"),
    ],
)
def test_captions_find_their_images_in_the_usual_places(tmp_path, annotations, images):
    put(
        tmp_path,
        {
            annotations: json.dumps(CAPTIONS),
            f"{images}a.png": png(1),
            f"{images}b.png": png(2),
        },
    )
    rows = rows_of(tmp_path / annotations)
    assert [row["caption"] for row in rows] == ["a dog on grass", "a cat", None]
    assert [row["captions"] for row in rows] == [["a dog on grass", "one dog"], ["a cat"], []]
    assert [row["image"] for row in rows] == [png(1), png(2), None]
    assert rows[2][REJECTED] == "missing_file"


def test_boxes_keep_their_categories_and_become_keywords(tmp_path):
    put(tmp_path, {"x.json": json.dumps(INSTANCES), "a.png": png(1), "b.png": png(2)})
    first, second = rows_of(tmp_path / "x.json")
    assert first["keywords"] == ["dog", "ball"]
    assert first["boxes"] == [[1, 2, 3.5, 4], [0, 0, 2, 2], [5, 5, 2, 2]]
    assert first["box_categories"] == ["dog", "ball", "dog"]
    assert second["boxes"] == []


def test_what_is_no_coco_file_is_refused_in_a_sentence(tmp_path):
    for name, text in (("a.json", "[1, 2]"), ("b.json", "{"), ("c.json", '{"images": 3}')):
        (tmp_path / name).write_text(text)
        with pytest.raises(DataError, match=r"expected COCO annotations"):
            rows_of(tmp_path / name)


def test_an_image_outside_the_folder_is_not_read(tmp_path):
    (tmp_path / "secret.png").write_bytes(png(5))
    evil = {"images": [{"id": 1, "file_name": "../secret.png"}, {"id": 2, "file_name": "a.png"}, {"id": 3}]}
    put(tmp_path / "in", {"x.json": json.dumps(evil), "a.png": png(1)})
    rows = rows_of(tmp_path / "in" / "x.json")
    assert [row[REJECTED] for row in rows] == ["outside_source", None, "bad_row"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["id", "file_name", "image_id", "bbox", "caption"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(images=json_values, annotations=json_values, categories=json_values)
@settings(max_examples=150, deadline=None)
def test_any_json_is_rows_or_one_sentence(images, annotations, categories, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz")
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "x.json").write_text(json.dumps(content))
    try:
        rows_of(folder / "x.json")
    except DataError as error:
        assert str(error)


def test_an_export_as_coco_comes_back_with_captions_and_boxes(tmp_path):
    both = {**INSTANCES, "annotations": [*CAPTIONS["annotations"], *INSTANCES["annotations"]]}
    put(tmp_path / "in", {"x.json": json.dumps(both), "a.png": png(1), "b.png": png(2)})
    ingest(tmp_path / "in" / "x.json", out=tmp_path / "cat")
    catalog = Catalog.open(tmp_path / "cat")
    captions, instances = export_coco(catalog, tmp_path / "coco")
    found = json.loads(captions.read_text())
    assert [one["caption"] for one in found["annotations"]] == ["a dog on grass", "one dog", "a cat"]
    assert {one["id"] for one in found["images"]} == {one["image_id"] for one in found["annotations"]}
    names = ["image", "caption", "captions"]
    ingest(captions, out=tmp_path / "again")
    again = [batch.to_pylist() for batch in Catalog.open(tmp_path / "again").scan(names)]
    assert again == [batch.to_pylist() for batch in catalog.scan(names)]
    ingest(instances, out=tmp_path / "boxes")
    names = ["boxes", "box_categories", "keywords"]
    again = [batch.to_pylist() for batch in Catalog.open(tmp_path / "boxes").scan(names)]
    assert again == [batch.to_pylist() for batch in catalog.scan(names)]
    with pytest.raises(CatalogError, match="new or empty folder"):
        export_coco(catalog, tmp_path / "coco")


def saved(folder, table, *, names=None, form="stream"):
    folder.mkdir(parents=True)
    make = pa.ipc.new_stream if form == "stream" else pa.ipc.new_file
    with make(str(folder / "data-00000-of-00001.arrow"), table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    (folder / "state.json").write_text(
        json.dumps({"_data_files": [{"filename": "data-00000-of-00001.arrow"}]})
    )
    features = {"label": {"names": names, "_type": "ClassLabel"}} if names else {}
    (folder / "dataset_info.json").write_text(json.dumps({"features": features}))


@pytest.mark.parametrize("form", ["stream", "file"])
def test_a_saved_data_set_gives_images_captions_and_named_classes(tmp_path, form):
    table = pa.table(
        {
            "image": [{"bytes": png(number), "path": None} for number in range(3)],
            "text": ["a", "b", None],
            "label": [1, 0, None],
        }
    )
    saved(tmp_path / "set", table, names=["cat", "dog"], form=form)
    rows = rows_of(tmp_path / "set")
    assert [(row["image"], row["caption"], row["label"]) for row in rows] == [
        (png(0), "a", "dog"),
        (png(1), "b", "cat"),
        (png(2), None, None),
    ]


def test_a_dictionary_of_saved_sets_gives_splits(tmp_path):
    table = pa.table({"image": [png(1), png(2)], "caption": ["x", "y"]})
    for name in ("train", "validation"):
        saved(tmp_path / "set" / name, table)
    (tmp_path / "set" / "dataset_dict.json").write_text(json.dumps({"splits": ["train", "validation"]}))
    summary = ingest(tmp_path / "set", out=tmp_path / "cat")
    assert summary.rows + summary.rejected == 4
    assert set(summary.splits) <= {"train", "val"}


def test_a_saved_set_cannot_send_us_elsewhere(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "state.json").write_text(
        json.dumps({"_data_files": [{"filename": "../other.arrow"}]})
    )
    with pytest.raises(DataError, match="expected names of Arrow files"):
        open_source(tmp_path / "set")
    (tmp_path / "set" / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data.arrow"}]}))
    (tmp_path / "set" / "data.arrow").write_bytes(b"ARROW1 not really")
    with pytest.raises(DataError, match="does not read"):
        rows_of(tmp_path / "set")
