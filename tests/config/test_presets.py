"""A recipe may name a preset of KerasHub; reading it and its key take nothing but the disk."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dogs_vs_cats import files
from dogs_vs_cats.config import backbones, engines, presets, recipe_files
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.features import cache
from dogs_vs_cats.features.backbones import keras_hub
from dogs_vs_cats.workspace import Workspace
from support.commands import LOGISTIC, PROJECT

KEY = """
import sys; from dogs_vs_cats.config import engines, recipe_files
from dogs_vs_cats.features import cache
from dogs_vs_cats.workspace import Workspace
settings = recipe_files.read("hub.toml").features
engine = engines.choose("keras", "float32")
print(cache.folder(Workspace("source"), settings, engine))
print(*{"keras", "keras_hub", "tensorflow", "numpy"} & set(sys.modules))
"""


@pytest.fixture(autouse=True)
def records(here, monkeypatch) -> Path:
    """The weights folder, empty."""
    monkeypatch.setenv("WEIGHTS", str(here / "weights"))
    return here / "weights"


def folder(path: Path, weights: str = "some") -> Path:
    """Write the files of a preset, whose contents nobody reads here."""
    path.mkdir(parents=True)
    (path / "config.json").write_text(json.dumps({"config": {"image_shape": [32, 32, 3]}}))
    (path / "image_converter.json").write_text(json.dumps({"config": {"scale": 0.5}}))
    (path / "model.weights.h5").write_text(weights)
    return path


def text(backbone: str, tap: str = "out", pooling: str = "tokens") -> str:
    other = LOGISTIC.replace('"block5_pool"', f'"{tap}"').replace('"avgmax"', f'"{pooling}"')
    return other.replace('"vgg16"', f'"{backbone}"')


def settings(backbone: str, **others: str):
    Path("hub.toml").write_text(text(backbone, **others))
    return recipe_files.read("hub.toml").features


def key(backbone: str) -> str:
    return cache.folder(
        Workspace("source"), settings(backbone), engines.choose("keras", "float32")
    ).name


def test_reading_a_recipe_and_its_key_take_the_standard_library_alone(here):
    expected = key(f"hub:{folder(here / 'vit')}")
    done = subprocess.run(
        [sys.executable, "-c", KEY],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT / "src")},
        check=True,
    )
    assert done.stdout.splitlines() == [f"cache/source/{expected}", ""]
    assert settings("hub:vit").backbone == "hub:vit", "a folder right here needs no slash"


def test_the_files_decide_the_key_wherever_they_are(here, monkeypatch):
    first, second = folder(here / "one" / "vit"), folder(here / "two" / "other")
    assert key(f"hub:{first}") == key(f"hub:{second}") == key("hub:./two/other")
    (first / "metadata.json").write_text("saved on a Sunday")
    assert key(f"hub:{first}") == key(f"hub:{second}")
    for name in "model.weights.h5", "image_converter.json", "config.json":
        before = key(f"hub:{second}")
        path = second / name
        path.write_text(path.read_text().replace("s", "S").replace("32", "64").replace("5", "6"))
        assert key(f"hub:{second}") != before
    known = key(f"hub:{first}")
    monkeypatch.setattr(files, "digest", None)
    assert key(f"hub:{first}") == known, "files that haven't changed are not read again"


def test_a_preset_of_kaggle_has_no_weights_until_it_is_downloaded_and_keeps_its_key(here):
    assert backbones.table()["hub:dinov2_base"].fingerprint() == ""
    unknown = key("hub:dinov2_base")
    here_now = folder(here / "downloaded")
    fingerprint = presets.hashed(here_now)
    presets.record("hub:dinov2_base", presets.Record(str(here_now), fingerprint))
    assert key("hub:dinov2_base") == key(f"hub:{here_now}") != unknown
    known = key("hub:dinov2_base")
    (here_now / "model.weights.h5").unlink()
    assert key("hub:dinov2_base") == known, "the download is not needed for it"
    assert presets.fetched("hub:dinov2_base") is None


REFUSED = {
    "no folder": ({"backbone": "hub:no/where"}, "must be hub: with a folder that holds config"),
    "no preset": ({"backbone": "hub:empty"}, "image_converter.json and model.weights.h5"),
    "no name": ({"backbone": "hub:"}, "the name or the folder of a KerasHub preset"),
    "an odd name": ({"backbone": "hub:a b"}, "the name or the folder of a KerasHub preset"),
    "a tap": ({"backbone": "hub:vit", "tap": "block1"}, "must be one of out, not 'block1'"),
    "a pooling": ({"backbone": "hub:vit", "pooling": "max"}, "avgmax, tokens, not 'max'"),
    "tokens of a plain backbone": (
        {"backbone": "vgg16", "tap": "block5_pool"},
        "must be one of none, flatten, avg, avgmax, not 'tokens'",
    ),
    "an unknown backbone": ({"backbone": "vgg99"}, "or hub: and a preset of KerasHub, not"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_preset_is_refused_in_one_line(here, refuse, case):
    values, words = REFUSED[case]
    folder(here / "vit")
    (here / "empty").mkdir()
    (here / "hub.toml").write_text(text(**values))
    assert words in refuse("status", "--recipe", "hub.toml")


def test_features_that_were_never_computed_have_no_dimension(here):
    with pytest.raises(UserError, match=r"at 32 px aren't computed yet: run `make features`"):
        settings(f"hub:{folder(here / 'vit')}").dimension()


def test_a_machine_without_keras_hub_is_told_what_to_run(here, monkeypatch):
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    for backbone in "hub:dinov2_base", f"hub:{folder(here / 'vit')}":
        with pytest.raises(UserError) as error:
            keras_hub.require(settings(backbone))
        assert str(error.value) == (
            "A backbone of KerasHub needs the package keras-hub, which is not installed. Run "
            "`make setup EXTRAS=hub`."
        )
