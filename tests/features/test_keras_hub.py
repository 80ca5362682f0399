"""Presets of KerasHub, from folders that KerasHub itself has saved."""

import csv
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import requests

from dogs_vs_cats.config import engines, recipe_files
from dogs_vs_cats.config.recipes import FeatureSettings
from dogs_vs_cats.data import pixels
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.features import cache, extraction, extractor, weights
from dogs_vs_cats.features.backbones import keras_hub
from dogs_vs_cats.workspace import Workspace, weights_folder
from support import networks
from support import presets as made
from support.commands import LOGISTIC, PROJECT
from support.pictures import few_of_kaggle, kaggle_folder

pytestmark = pytest.mark.extra("keras_hub")

TOKENS = {"ViT": made.VIT, "DINOV2": made.DINOV2}
SHARED = Path(os.environ["WEIGHTS"])  # the weights of all tests
SCALE = {"scale": (0.02, 0.017, 0.018), "offset": (-2.1, -2.0, -1.8)}


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> Path:
    """A folder with tiny presets: ViT, DINOV2, ResNet and SigLIP."""
    folder = tmp_path_factory.mktemp("presets")
    for kind, values in {**TOKENS, "ResNet": made.RESNET}.items():
        made.saved(folder / kind, kind, values, **SCALE)
    made.siglip(folder / "SigLIP")
    return folder


@pytest.fixture(autouse=True)
def records(here, monkeypatch) -> None:
    """Let a test's records be its own."""
    monkeypatch.setenv("WEIGHTS", str(here / "weights"))


def settings(folder: Path, size: int = 32, pooling: str = "tokens") -> FeatureSettings:
    return FeatureSettings(f"hub:{folder}", "out", pooling, size, ("plain",), ("plain",))


def features(wanted: FeatureSettings, photos: np.ndarray, precision: str = "float32") -> np.ndarray:
    keras_hub.require(wanted)
    files = weights.load(wanted.backbone, weights_folder())
    found = np.asarray(extractor.model(wanted, precision, files)(photos))
    assert found.shape == (len(photos), wanted.dimension())
    return found


def test_efficientnet_lite0_has_the_features_of_our_own_entry(here, tmp_path, real_photos):
    ours = weights.load("efficientnet-lite0", SHARED)
    photos = few_of_kaggle(real_photos, here / "few", each=2, tests=0) / "train"
    shown = np.stack([pixels.pixels(path, 224) for path in sorted(photos.iterdir())])
    own = networks.settings("efficientnet-lite0", 224)
    expected = np.asarray(extractor.model(own, "float32", ours)(shown))
    preset = made.lite0(tmp_path / "lite0", ours)
    found = features(settings(preset, 224, "avgmax"), shown)
    difference = np.abs(found - expected).max() / np.ptp(expected)
    print(f"EfficientNet-Lite0 of KerasHub and our own: {difference:.1e} of the range")
    assert np.ptp(expected) > 1
    assert difference < 1e-3


@pytest.mark.parametrize("kind", TOKENS)
def test_tokens_are_the_class_token_and_the_mean_of_the_patches(folders, kind):
    """Scaled by KerasHub's own image converter; the registers of DINOv2 are left out."""
    shown, hub = networks.photos(32, 3), made.keras_hub()
    network = hub.models.Backbone.from_preset(str(folders / kind))
    converter = hub.layers.ImageConverter.from_preset(str(folders / kind))
    images = np.asarray(converter(shown.astype(np.float32)))
    given = {"images": images} if isinstance(network.input, dict) else images
    tokens = np.asarray(network(given))
    assert tokens.shape[1] == {"ViT": 1, "DINOV2": 4}[kind] + 16
    expected = np.concatenate([tokens[:, 0], tokens[:, -16:].mean(1)], axis=1)
    found = features(settings(folders / kind), shown)
    assert np.allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert not np.allclose(found[0], found[1], rtol=1e-2)
    low = features(settings(folders / kind), shown, "bfloat16")
    assert not np.array_equal(low, found)
    assert np.corrcoef(low.ravel(), found.ravel())[0, 1] > 0.99


def test_siglip_is_pooled_by_its_own_attention_and_by_the_mean(folders):
    shown = networks.photos(32, 3)
    network = made.keras_hub().models.Backbone.from_preset(str(folders / "SigLIP"))
    pooled = np.asarray(network.vision_encoder({"images": shown.astype(np.float32) / 127.5 - 1}))
    found = features(settings(folders / "SigLIP"), shown)
    assert np.allclose(found[:, :12], pooled, rtol=1e-4, atol=1e-4)
    assert not np.allclose(found[:, 12:], pooled, rtol=1e-2)


def test_a_size_that_can_be_had_is_taken(folders):
    shown = networks.photos(48, 2)
    trained = made.keras_hub().models.Backbone.from_preset(
        str(folders / "DINOV2"), image_shape=(48, 48, 3)
    )
    scaled = shown * np.float32(SCALE["scale"]) + np.float32(SCALE["offset"])
    tokens = np.asarray(trained({"images": scaled}))
    found = features(settings(folders / "DINOV2", 48), shown)
    assert np.allclose(found[:, 12:], tokens[:, -36:].mean(1), rtol=1e-4, atol=1e-4)
    assert features(settings(folders / "ResNet", 45, "avgmax"), shown[:, :45, :45]).shape == (2, 32)


REFUSED = {
    "between patches": (("DINOV2", 44), "a size that is a multiple of 8, as 32, not 44"),
    "positions of another size": (("ViT", 48), "weights are for 32 px. Give size = 32"),
    "a tower of another size": (("SigLIP", 40), "takes photos of 32 px: give size = 32, not 40"),
    "tokens of maps": (("ResNet", 32), "has 16 channels: give avg or avgmax"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_can_not_be_computed_is_said_before_it_is_tried(folders, case):
    (kind, size), words = REFUSED[case]
    with pytest.raises(UserError) as error:
        keras_hub.require(settings(folders / kind, size))
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_broken_weights_are_one_line(folders, tmp_path):
    for path in (folders / "ViT").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes()[:2000])
    with pytest.raises(UserError, match=r"can't be used as a backbone of photos \(.*download it"):
        keras_hub.require(settings(tmp_path))


def recipe(name: str, backbone: str) -> str:
    """Write recipes/<name>.toml for one small view of `backbone`; return its path."""
    text = (PROJECT / "recipes" / f"{name}.toml").read_text()
    text = text.replace('"hub:dinov2_base"', f'"{backbone}"').replace(
        '["plain", "mirror"]', '["plain"]'
    )
    path = Path(f"short-{name}.toml")
    path.write_text(re.sub(r"size = \d+", "size = 32", text))
    return str(path)


def test_photos_become_a_csv_and_without_keras_hub_it_stays_fresh(here, run, folders, monkeypatch):
    run("data", "--source", str(kaggle_folder(here / "source", tests=3)))
    maps = LOGISTIC.replace('"vgg16"', f'"hub:{folders / "ResNet"}"')
    Path("maps.toml").write_text(maps.replace('"block5_pool"', '"out"'))
    for name in recipe("dinov2", f"hub:{folders / 'DINOV2'}"), "maps.toml":
        for stage in "features", "train", "submit":
            run(stage, "--recipe", name)
        (path,) = Path("submissions").glob(f"source-{Path(name).stem}-*.csv")
        rows = list(csv.DictReader(path.read_text().splitlines()))
        assert [row["id"] for row in rows] == ["1", "2", "3"]
        assert len({row["label"] for row in rows}) > 1
        run("report", "--recipe", name)
        assert Path(f"reports/source/{Path(name).stem}.html").read_text().count("heat map of") > 3
        monkeypatch.setitem(sys.modules, "keras_hub", None)
        for stage in "features", "train", "submit":
            assert "up to date" in run(stage, "--recipe", name)
        monkeypatch.undo()
        monkeypatch.chdir(here)
        monkeypatch.setenv("WEIGHTS", str(here / "weights"))


@pytest.mark.extra("openvino")
def test_openvino_agrees_with_keras(folders, here):
    shown, wanted = networks.photos(32, 3), settings(folders / "DINOV2")
    expected = features(wanted, shown)
    engine = engines.Engine("openvino", "float32", "cpu")
    Path("cache").mkdir()
    found = extraction.extractor_of(Workspace("source"), wanted, engine, 3, None).run(shown)
    assert np.allclose(found, expected, rtol=1e-3, atol=1e-3)


@pytest.fixture
def kaggle(monkeypatch):
    """Kaggle Models; a test sets `.download`, which is called with a handle."""
    import kagglehub

    class Models:
        handles: list[str] = []  # noqa: RUF012

        def __call__(self, handle: str) -> str:
            self.handles.append(handle)
            return self.download()

    models = Models()
    monkeypatch.setattr(kagglehub, "model_download", models)
    return models


def test_a_preset_of_kaggle_is_downloaded_once(kaggle, folders):
    kaggle.download = lambda: str(folders / "DINOV2")
    named = FeatureSettings("hub:dinov2_base", "out", "tokens", 32, ("plain",), ("plain",))
    shown = networks.photos(32, 2)
    found = features(named, shown)
    assert np.array_equal(features(named, shown), found)
    assert [handle.rpartition("/")[0] for handle in kaggle.handles] == [
        "keras/dinov2/keras/dinov2_base"
    ]
    engine, workspace = engines.choose("keras", "float32"), Workspace("source")
    elsewhere = settings(folders / "DINOV2")
    assert cache.folder(workspace, named, engine) == cache.folder(workspace, elsewhere, engine)


def test_where_there_is_no_download_the_page_and_the_folder_are_named(kaggle):
    def refuse() -> str:
        raise requests.ConnectionError("Max retries exceeded\nwith url")

    kaggle.download = refuse
    with pytest.raises(UserError) as error:
        keras_hub.require(recipe_files.read("dinov2").features)
    assert str(error.value) == (
        "hub:dinov2_base can't be downloaded (Max retries exceeded). Download "
        "https://www.kaggle.com/models/keras/dinov2/keras/dinov2_base elsewhere, and give its "
        'folder in the recipe: backbone = "hub:path/to/dinov2_base".'
    )
    with pytest.raises(UserError, match=r"no preset 'dinov2_bass'; like it: dinov2_base, "):
        keras_hub.fetch("hub:dinov2_bass")
    kaggle.download = lambda: str(Path.cwd())
    with pytest.raises(UserError, match=r"hub:bert_base_en is no backbone of photos"):
        keras_hub.fetch("hub:bert_base_en")
