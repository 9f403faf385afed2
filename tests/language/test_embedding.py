"""Caption embeddings as a column: unit vectors of the chosen text, in one commit, never computed twice."""

import json

import numpy as np
import pytest
from captions import COMMIT, make_catalog, many_captions
from encoders import LetterEncoder

from synsight.data.catalog import Catalog
from synsight.errors import ConfigError, DataError, Interrupted
from synsight.language import embed_captions, embedding
from synsight.language.embedding import caption_embeddings, embedding_rows

ROWS = [
    {"caption": "a dog", "keywords": ["pet", "animal"]},
    {"caption": None, "keywords": ["cat"]},
    {"caption": " \n ", "keywords": None},
    {"caption": "two\n zebras", "split": "test"},
]


def vectors(catalog):
    column = catalog.table(["caption_embedding"])["caption_embedding"].combine_chunks()
    return embedding_rows(column).astype(np.float32)


def test_each_text_has_a_vector_of_length_one_and_no_text_has_zeros(tmp_path):
    catalog = make_catalog(tmp_path / "cat", ROWS)
    summary = embed_captions(catalog, LetterEncoder())
    assert str(catalog.schema.field("caption_embedding").type).startswith("fixed_size_list<")
    assert str(catalog.schema.field("caption_embedding").type.value_type) == "halffloat"
    found = vectors(catalog)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), [1, 0, 0, 1], atol=1e-3)
    expected = LetterEncoder()(["a dog"])[0]
    np.testing.assert_allclose(found[0], expected / np.linalg.norm(expected), atol=1e-3)
    assert (summary.dimensions, summary.rows, summary.rows_with_text) == (26, 4, 2)


def test_the_texts_of_a_row_are_joined(tmp_path):
    encoder = LetterEncoder()
    embed_captions(make_catalog(tmp_path / "cat", ROWS), encoder, text_columns=("caption", "keywords"))
    assert encoder.calls == [["a dog, pet, animal"], ["cat"], ["two zebras"]] or encoder.calls == [
        ["a dog, pet, animal", "cat", "two zebras"]
    ]


def test_the_column_names_its_encoder_and_its_text_in_one_commit(tmp_path):
    catalog = make_catalog(tmp_path / "cat", ROWS)
    before = catalog.version
    embed_captions(catalog, LetterEncoder(), text_columns=("caption", "keywords"))
    assert catalog.version == before + 1
    metadata = catalog.schema.field("caption_embedding").metadata
    assert json.loads(metadata[b"synsight.settings"]) == {
        "encoder": "letters",
        "text_columns": ["caption", "keywords"],
    }
    made_from = caption_embeddings(Catalog.open(tmp_path / "cat"))
    assert (made_from.encoder, made_from.text_columns) == ("letters", ("caption", "keywords"))
    assert catalog.versions()[-1].verb == "words"


def test_a_finished_call_does_nothing_and_answers_the_same(tmp_path):
    catalog = make_catalog(tmp_path / "cat", ROWS)
    first = embed_captions(catalog, LetterEncoder())
    version, idle = catalog.version, LetterEncoder()
    assert embed_captions(Catalog.open(tmp_path / "cat"), idle) == first
    assert idle.calls == []
    assert Catalog.open(tmp_path / "cat").version == version


def test_another_encoder_another_text_and_new_rows_are_embedded_anew(tmp_path):
    catalog = make_catalog(tmp_path / "cat", ROWS)
    embed_captions(catalog, LetterEncoder())
    for encoder, columns in ((LetterEncoder("other"), ("caption",)), (LetterEncoder(), ("keywords",))):
        embed_captions(catalog, encoder, text_columns=columns)
        assert encoder.calls
    batch = catalog.table(catalog.columns).slice(0, 1).combine_chunks().to_batches()[0]
    catalog.append(catalog.write_fragment(batch), commit=COMMIT)
    encoder = LetterEncoder()
    embed_captions(catalog, encoder, text_columns=("keywords",))
    assert encoder.calls
    assert len(vectors(catalog)) == 5


def test_stopped_in_the_middle_the_same_call_goes_on_where_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr(embedding, "ROWS_PER_CHUNK", 10)
    rows = many_captions(100)
    catalog, whole = make_catalog(tmp_path / "cat", rows), make_catalog(tmp_path / "whole", rows)

    class Stopped(LetterEncoder):
        def __call__(self, texts, /):
            if len(self.calls) == 6:
                raise KeyboardInterrupt
            return super().__call__(texts)

    before = catalog.version
    with pytest.raises((Interrupted, KeyboardInterrupt)):
        embed_captions(catalog, Stopped())
    assert Catalog.open(tmp_path / "cat").version == before
    rest = LetterEncoder()
    embed_captions(Catalog.open(tmp_path / "cat"), rest)
    assert len(rest.calls) < 10
    embed_captions(whole, LetterEncoder())
    assert np.array_equal(vectors(Catalog.open(tmp_path / "cat")), vectors(whole))


def test_an_encoder_that_gives_no_vectors_is_one_clear_sentence(tmp_path):
    class Broken(LetterEncoder):
        def __call__(self, texts, /):
            return np.full((len(texts), 3), np.nan)

    class Short(LetterEncoder):
        def __call__(self, texts, /):
            return np.ones((1, 3))

    catalog = make_catalog(tmp_path / "cat", [*ROWS, *ROWS])
    before = catalog.version
    for encoder in (Broken(), Short()):
        with pytest.raises(DataError, match="expected finite numbers of as many rows"):
            embed_captions(catalog, encoder, text_columns=("caption", "keywords"))
    assert catalog.version == before


def test_a_missing_column_and_none_are_one_clear_sentence_each(tmp_path):
    catalog = make_catalog(tmp_path / "cat", ROWS)
    with pytest.raises(DataError, match="did you mean 'caption'"):
        embed_captions(catalog, LetterEncoder(), text_columns=("captoin",))
    with pytest.raises(ConfigError, match="at least one column"):
        embed_captions(catalog, LetterEncoder(), text_columns=())
