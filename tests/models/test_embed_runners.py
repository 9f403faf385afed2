"""Features are the same rows with the same bytes wherever they are computed, and no finished batch is lost.

Ray's part runs where Ray is installed: pip install -e ".[dev,cluster]"; elsewhere it is left out.
"""

import pyarrow.parquet as pq
import pytest
from small_models import small_catalog, small_model

from synsight.data.catalog import Catalog
from synsight.errors import CatalogError, Interrupted
from synsight.ledger import Ledger
from synsight.models import Model, embed
from synsight.process_pool import ProcessRunner
from synsight.stages import Runner


@pytest.fixture(params=["processes", "ray"])
def elsewhere(request) -> Runner:
    return ProcessRunner(workers=2) if request.param == "processes" else request.getfixturevalue("cluster")


def test_features_are_the_same_bytes_wherever_they_are_computed(elsewhere, tmp_path):
    catalogs = [small_catalog(tmp_path / name) for name in ("here", "there")]
    for catalog, runner in zip(catalogs, (None, elsewhere), strict=True):
        embed(small_model(), catalog, batch_size=4, out=tmp_path / f"{catalog.name}.parquet", runner=runner)
    here, there = (Catalog.open(one.path) for one in catalogs)
    assert there.table(there.columns).equals(here.table(here.columns), check_metadata=True)
    assert (tmp_path / "there.parquet").read_bytes() == (tmp_path / "here.parquet").read_bytes()
    assert pq.read_table(tmp_path / "here.parquet").num_rows == 10


def test_a_model_with_heads_and_texts_leaves_them_at_home(monkeypatch, tmp_path):
    from synsight.between_processes import packed
    from synsight.models.feature_stage import feature_stage

    model = small_model()
    model.encoder.note = 1
    model._text = lambda: pytest.fail("the text half is not asked for")
    stage = feature_stage(model, elsewhere=True)
    assert len(packed(stage)) < 1.2 * sum(one.nbytes for one in model.encoder.state_dict().values())
    assert stage.model.head is None
    assert stage.digest == model.digest


def test_stopped_and_called_again_it_computes_only_the_rest(monkeypatch, tmp_path):
    catalog, seen = small_catalog(tmp_path / "cat"), []
    features = Model.features

    def stopped(self, pixels):
        seen.append(len(pixels))
        if len(seen) == 3:
            raise KeyboardInterrupt
        return features(self, pixels)

    monkeypatch.setattr(Model, "features", stopped)
    with pytest.raises(Interrupted, match="8 rows are saved: run the same command again"):
        embed(small_model(), catalog, batch_size=4)
    assert catalog.columns == small_catalog(tmp_path / "other").columns
    done = embed(small_model(), catalog, batch_size=4)
    assert (done.rows, seen) == (10, [4, 4, 2, 2])
    whole = small_catalog(tmp_path / "whole")
    embed(small_model(), whole, batch_size=4)
    assert catalog.table([done.column]).equals(whole.table([done.column]))
    assert not list((catalog.local_folder / "work").iterdir())


def test_two_models_may_embed_one_catalog_at_once_and_one_model_only_once(tmp_path):
    catalog = small_catalog(tmp_path / "cat")
    name = f"features_{small_model().digest}"
    with Ledger(catalog.local_folder / "work" / name / "ledger.sqlite") as ledger, ledger.exclusive():
        assert embed(small_model(size=48), catalog).computed
        with pytest.raises(CatalogError, match="another process is at work here"):
            embed(small_model(), catalog)
    assert embed(small_model(), catalog).computed
