"""The cache of features: what is in a key, and what is computed when a view or a photo changes."""

import dataclasses
import json

import numpy as np
import pytest

from dogs_vs_cats.config import engines, recipe_files, views
from dogs_vs_cats.config.recipes import FeatureSettings
from dogs_vs_cats.config.views import View
from dogs_vs_cats.data import photos
from dogs_vs_cats.features import cache, extraction, quantisation_samples
from dogs_vs_cats.workspace import Workspace
from support.pictures import write

PLACE = Workspace("source")
ENGINE = engines.Engine("keras", "float32", "cpu")
INT8 = engines.Engine("openvino", "int8", "cpu")
TINY = FeatureSettings("vgg16", "block5_pool", "avgmax", 32, ("plain", "mirror"), ("plain",))


def compute(settings: FeatureSettings) -> dict[str, int]:
    """Compute what is missing; return store -> how many views were computed."""
    return extraction.build(PLACE, settings, ENGINE, extraction.Run()).computed


def arrays(settings: FeatureSettings) -> dict[str, np.ndarray]:
    return {view: x.array for view, x in cache.load(PLACE, settings, ENGINE, "train").items()}


def test_a_new_view_in_the_table_computes_that_view_alone(source, quick, monkeypatch):
    assert compute(TINY) == {"train-plain": 24, "train-mirror": 24, "test-plain": 5}
    before = cache.identity(PLACE, TINY, ENGINE)
    monkeypatch.setitem(views.CROPS, "middle", (0.25, 0.25, 0.75, 0.75))
    monkeypatch.setitem(views.VIEWS, "middle", View("middle", mirrored=False))
    assert cache.fresh(PLACE, TINY, ENGINE)
    assert cache.identity(PLACE, TINY, ENGINE) == before, "heads stay fresh too"
    more = dataclasses.replace(TINY, test_views=("plain", "middle"))
    assert cache.fresh(PLACE, more, ENGINE) is None
    assert compute(more) == {"train-middle": 24, "test-middle": 5}
    found = arrays(more)
    assert not np.array_equal(found["middle"], found["plain"])
    assert cache.fresh(PLACE, TINY, ENGINE)


def test_another_box_of_a_crop_computes_its_views_alone(source, quick, monkeypatch):
    zoomed = dataclasses.replace(TINY, train_views=("plain", "zoom"))
    compute(zoomed)
    plain, before = cache.identity(PLACE, TINY, ENGINE), cache.identity(PLACE, zoomed, ENGINE)
    old = np.array(arrays(zoomed)["zoom"])
    monkeypatch.setitem(views.CROPS, "zoom", (0.2, 0.2, 0.8, 0.8))
    assert cache.fresh(PLACE, zoomed, ENGINE) is None
    assert cache.identity(PLACE, TINY, ENGINE) == plain
    assert cache.identity(PLACE, zoomed, ENGINE) != before, "heads are stale"
    assert compute(zoomed) == {"train-zoom": 24}
    new = np.array(arrays(zoomed)["zoom"])
    assert not np.array_equal(old, new)
    # The other way round, too: nothing of the store that was replaced is used.
    monkeypatch.setitem(views.CROPS, "zoom", (0.1, 0.1, 0.9, 0.9))
    assert compute(zoomed) == {"train-zoom": 24}
    assert np.array_equal(arrays(zoomed)["zoom"], old)


def test_another_view_of_a_recipe_computes_only_that_view(source, quick):
    one = dataclasses.replace(TINY, train_views=("plain",))
    assert compute(one) == {"train-plain": 24, "test-plain": 5}
    assert compute(TINY) == {"train-mirror": 24}
    assert cache.fresh(PLACE, one, ENGINE) == cache.CachedFeatures(29, (24 + 5) * 2048 + 2 * 128)


def test_a_new_or_changed_photo_computes_just_itself(source, run, quick):
    compute(TINY)
    write(source / "train" / "cat.50.jpg", 4242)
    write(source / "test" / "1.jpg", 4343)
    run("data", "--source", "source")
    assert compute(TINY) == {"train-plain": 1, "train-mirror": 1, "test-plain": 1}
    rows = photos.test(photos.read(PLACE))
    assert rows["id"].tolist() == ["1", "2", "3", "4", "5"]
    stored = cache.load(PLACE, TINY, ENGINE, "test")["plain"]
    assert stored.rows_of(rows["sha256"].tolist(), rows["id"].tolist()).size == 5


def test_a_table_that_changes_while_features_are_computed_leaves_them_stale(
    source, quick, monkeypatch
):
    honest = extraction.extractor_of

    def changing(*arguments):
        with PLACE.table.open("a") as table:
            table.write("\n")
        return honest(*arguments)

    monkeypatch.setattr(extraction, "extractor_of", changing)
    compute(TINY)
    assert cache.fresh(PLACE, TINY, ENGINE) is None


def test_each_setting_engine_and_precision_has_its_own_folder(source):
    settings = [
        TINY,
        dataclasses.replace(TINY, size=40),
        dataclasses.replace(TINY, pooling="avg"),
        dataclasses.replace(TINY, tap="block4_pool"),
        dataclasses.replace(TINY, backbone="vgg19"),
    ]
    chosen = [ENGINE, *(engines.Engine("keras", "bfloat16", d) for d in ("cpu", "gpu"))]
    folders = {cache.folder(PLACE, x, engine) for x in settings for engine in chosen}
    assert len(folders) == len(settings) * len(chosen)
    assert {folder.parent for folder in folders} == {PLACE.cache}
    again = dataclasses.replace(TINY, train_views=("zoom",))
    assert cache.folder(PLACE, again, ENGINE) in folders, "views are beside each other"


def test_the_photos_that_int8_ranges_are_from_are_the_first_by_sha256(source, monkeypatch):
    everything = quantisation_samples.chosen(PLACE)
    assert len(everything) > 20
    monkeypatch.setattr(quantisation_samples, "COUNT", 7)
    monkeypatch.setattr(quantisation_samples, "AT_ONCE", 9)
    assert list(quantisation_samples.chosen(PLACE).items()) == list(everything.items())[:7]


@pytest.mark.extra("openvino", "nncf")
def test_the_photos_that_int8_ranges_are_from_are_part_of_its_key(source):
    bfloat16 = dataclasses.replace(INT8, precision="bfloat16")
    before = {engine: cache.folder(PLACE, TINY, engine) for engine in (INT8, bfloat16)}
    chosen = quantisation_samples.chosen(PLACE)
    assert set(chosen) <= set(photos.train(photos.read(PLACE))["sha256"])
    table = PLACE.table.read_text()
    PLACE.table.write_text(table.replace(next(iter(chosen)), "0" * 64))
    assert cache.folder(PLACE, TINY, INT8) != before[INT8]
    assert cache.folder(PLACE, TINY, bfloat16) == before[bfloat16]


def test_an_identity_is_as_json_keeps_it(source):
    identity = cache.identity(PLACE, recipe_files.read("best").features, ENGINE)
    assert json.loads(json.dumps(identity)) == identity
    assert identity["views"]["zoom-mirror"] == {"box": [0.1, 0.1, 0.9, 0.9], "mirrored": True}
