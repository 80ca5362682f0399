"""make features: right numbers, whatever the batch, the threads, the order and the kills."""

import contextlib
import hashlib
import os
import random
import re
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import filelock
import numpy as np
import pandas as pd
import pytest

from dogs_vs_cats import files
from dogs_vs_cats.artifacts import Artifact
from dogs_vs_cats.config import engines, recipe_files
from dogs_vs_cats.data import photos, pixels
from dogs_vs_cats.data.dataset import Dataset
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.features import cache, extraction, extractor, keras_backend, weights
from dogs_vs_cats.workspace import Workspace, weights_folder
from support import kill_and_resume
from support.commands import LOGISTIC, PROJECT, TINY
from support.exactness import EXACT
from support.pictures import encoded, kaggle_folder, picture, write
from support.prepared import copy_of

PLACE = Workspace("source")
FLOAT32 = engines.Engine("keras", "float32", "cpu")
OPTIONS = ["--recipe", "tiny.toml", "--precision", "float32"]


def settings():
    return recipe_files.read("tiny.toml").features


def stored(role: str, engine: engines.Engine = FLOAT32) -> dict:
    return cache.load(PLACE, settings(), engine, role)


def arrays(folder: Path, engine: engines.Engine = FLOAT32) -> dict[str, bytes]:
    """Return store -> the bytes of its array, of tiny.toml's features in `folder`."""
    with contextlib.chdir(folder):
        paths = cache.stores(PLACE, settings(), engine).values()
        return {path.name: (path / "features.npy").read_bytes() for path in paths}


def child(code: str, folder: Path, **variables: str) -> subprocess.CompletedProcess:
    """Run Python code in `folder`, in a process of its own."""
    path = os.pathsep.join([str(PROJECT / "src"), str(PROJECT / "tests"), str(PROJECT)])
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path, **variables},
        check=False,
    )


def test_the_numbers_are_those_of_keras_applications(source, run, here):
    """Preprocessing, weights, tap, pooling and views against the library's own, in float32."""
    keras = keras_backend.start()
    more = 'train_views = ["plain", "mirror", "zoom", "top-left-mirror"]'
    (here / "tiny.toml").write_text(TINY.replace('train_views = ["plain", "mirror"]', more))
    run("features", *OPTIONS)
    network = keras.applications.VGG16(weights=None, include_top=False, input_shape=(32, 32, 3))
    for layer, pair in weights.load("vgg16", weights_folder()).items():
        network.get_layer(layer).set_weights(list(pair))
    table = photos.train(photos.read(PLACE))
    found = stored("train")
    assert list(found) == ["plain", "mirror", "zoom", "top-left-mirror"]
    for view, store in found.items():
        crop = view.removesuffix("-mirror").replace("mirror", "plain")
        images = [pixels.crops(Path(path), 32, [crop])[crop] for path in table["path"]]
        images = np.stack(images).astype(np.float32)
        images = images[:, :, ::-1] if view.endswith("mirror") else images
        maps = network(keras.applications.vgg16.preprocess_input(images)).numpy()
        expected = np.concatenate([maps.mean((1, 2)), maps.max((1, 2))], axis=1)
        cached = store.array[store.rows_of(table["sha256"].tolist(), table["id"].tolist())]
        assert np.allclose(cached, expected, rtol=2e-3, atol=2e-3)
    assert not np.array_equal(found["plain"].array, found["mirror"].array)
    assert list(stored("test")) == ["plain", "mirror"]


def test_bfloat16_agrees_with_float32(work):
    bfloat16 = engines.Engine("keras", "bfloat16", "cpu")
    one, other = (stored("train", x)["plain"].array.astype(float) for x in (FLOAT32, bfloat16))
    assert not np.array_equal(one, other)
    assert np.abs(one - other).mean() < 0.02 * np.abs(one).mean()
    assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.999


THE_WHOLE_ROAD = """
from pathlib import Path
from support.commands import run_all
options = ("--recipe", "tiny.toml", "--threads", "1")
run_all(Path("."), ("data", "--source", "source"), ("features", *options, "--batch", "7"),
        ("train", *options), ("submit", *options))
import keras
print(keras.config.image_data_format(), keras.config.epsilon(),
      keras.layers.Dense(1).variable_dtype, keras.config.dtype_policy().name)
"""
KERAS_JSON = '{"image_data_format": "channels_first", "floatx": "float16", "epsilon": 0.1}'


def test_batch_threads_listing_and_keras_json_change_no_byte_of_the_csv(trained, tmp_path):
    """In another process, as threads are set when it starts Keras; against that of `made`."""
    other = tmp_path / "other"
    # The same photos, made in the reverse order: most file systems list them otherwise.
    for path in sorted(trained.glob("source/*/*.jpg"), reverse=True):
        target = other / path.relative_to(trained)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    (other / "tiny.toml").write_text(TINY)
    (other / "keras.json").write_text(KERAS_JSON)
    done = child(THE_WHOLE_ROAD, other, KERAS_HOME=str(other))
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert done.stdout.split() == ["channels_last", "1e-07", "float32", "float32"]
    (one,), (two,) = (x.glob("submissions/source-tiny-*.csv") for x in (trained, other))
    if EXACT:
        assert one.read_bytes() == two.read_bytes()
    one, two = (pd.read_csv(path, index_col="id")["label"] for path in (one, two))
    assert (one.index == two.index).all()
    assert np.abs(one - two).max() < 0.1


@pytest.mark.parametrize("batch", ["1", "5"])
def test_the_batch_changes_no_byte_of_the_features(computed, work, run, batch):
    engine = engines.choose("keras", "auto")
    before = {view: np.array(x.array, float) for view, x in stored("train", engine).items()}
    shutil.rmtree("cache")
    run("features", "--recipe", "tiny.toml", "--batch", batch)
    for view, store in stored("train", engine).items():
        assert np.abs(store.array - before[view]).max() < 0.02 * before[view].max()
    if EXACT:
        assert arrays(work, engine) == arrays(computed, engine)


@pytest.mark.parametrize("seed", [1])
def test_killed_at_a_random_moment_the_arrays_are_byte_identical(computed, work, run, seed):
    """`kill_and_resume.py` does this more often, on real photos, while it starts too."""
    shutil.rmtree("cache")
    wait = random.Random(seed).uniform(0, 0.05)
    assert kill_and_resume.kill(work, OPTIONS, wait), "the run was done before"
    recorded = kill_and_resume.chunks(work)
    assert 0 < recorded < 6
    done = re.search(r"resumable: (\d+) of 200 views done", run("status", *OPTIONS))
    printed = run("features", *OPTIONS)
    assert f"features: {200 - int(done[1])} of 200 views to compute" in printed
    assert "features: 200 views in" not in printed, "nothing is computed twice"
    assert arrays(work) == arrays(computed)


def test_a_photo_changed_since_the_table_was_made_is_refused(source, run, refuse):
    write(source / "train" / "cat.3.jpg", 4242)
    assert "has changed" in refuse("features", *OPTIONS)
    (source / "train" / "cat.3.jpg").unlink()
    assert "cat.3.jpg" in refuse("features", *OPTIONS)
    run("data", "--source", "source")
    run("features", *OPTIONS)


def test_damage_is_noticed_by_training_and_redone(work, run, refuse):
    path = cache.stores(PLACE, settings(), FLOAT32)["train", "plain"] / "features.npy"
    stat, data = path.stat(), bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    # Even with its time of change put back, so that the quick look sees nothing.
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert "up to date" in run("features", *OPTIONS)
    assert "Run `make features` again" in refuse("train", *OPTIONS)
    assert "features: 16 views in" in run("features", *OPTIONS), "the last chunk's"
    assert stored("train")["plain"].array.shape == (80, 1024)


def test_features_before_data_is_refused(here, refuse):
    assert "make data" in refuse("features", "--recipe", "tiny.toml")
    assert "other" in refuse("features", "--dataset", "other")
    assert "int4" in refuse("features", "--precision", "int4")


def test_too_little_disk_is_an_error_before_the_work(source, monkeypatch):
    usage = shutil.disk_usage(".")
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    monkeypatch.setattr(extraction, "extractor_of", None)  # called, it would be another error
    with pytest.raises(UserError, match="free"):
        extraction.build(PLACE, settings(), FLOAT32, extraction.Run())


WITHOUT_NETWORK = """
import resource, sys
import numpy as np
from dogs_vs_cats.features import extractor
from support.commands import PROJECT
import runpy
extractor.build = lambda *_: extractor.Extractor(
    lambda images: np.zeros((len(images), 1024), np.float32), 1)
sys.argv = ["features", "--recipe", "tiny.toml"]
{before}
try:
    runpy.run_path(str(PROJECT / "scripts/features.py"), run_name="__main__")
finally:
    {after}
"""


def test_a_disk_that_fills_up_is_one_line_and_nothing_is_lost(here, run, quick):
    """A file size limit makes writes fail where a full disk would, with the same kind of error."""
    run("data", "--source", str(kaggle_folder(here / "source", each=60, tests=5)))
    limit = "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))"
    done = child(WITHOUT_NETWORK.format(before=limit, after="pass"), here)
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stderr.count("\n") == 1
    assert "space on the disk" in done.stderr
    assert not list(Path("cache").rglob("stamp.json"))
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 100_000
    run("features", "--recipe", "tiny.toml")


def test_a_second_run_on_the_same_cache_waits_and_says_so(work):
    base = cache.folder(PLACE, settings(), FLOAT32)
    for stamp in base.glob("*/stamp.json"):
        stamp.unlink()
    with filelock.FileLock(base / ".lock"):
        second = subprocess.Popen(
            [sys.executable, str(PROJECT / "scripts/features.py"), *OPTIONS],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert "waiting" in second.stdout.readline()
        time.sleep(0.5)
        assert second.poll() is None
    assert "every one was there already" in second.communicate()[0]
    assert second.returncode == 0


def test_every_photo_unreadable_in_the_test_set_is_no_crash(here, run):
    (here / "tiny.toml").write_text(LOGISTIC)
    source = kaggle_folder(here / "source", tests=0)
    (source / "test").mkdir()
    for number in 1, 2:
        (source / "test" / f"{number}.jpg").write_bytes(b"")
    run("data", "--source", str(source))
    for script in "features", "train", "submit":
        run(script, "--recipe", "tiny.toml")
    (path,) = Path("submissions").glob("source-tiny-*.csv")
    assert path.read_bytes() == b"id,label\n1,0.5\n2,0.5\n"


def test_a_photo_to_train_on_and_to_predict_is_in_both_arrays(here, run, quick):
    source = kaggle_folder(here / "source")
    shutil.copy(source / "train" / "dog.3.jpg", source / "test" / "2.jpg")
    run("data", "--source", str(source))
    run("features", *OPTIONS)
    table = photos.read(PLACE).set_index("id")
    assert table.loc["dog.3", "sha256"] == table.loc["2", "sha256"]
    for view in "plain", "mirror":
        vectors = []
        for role, photo in ("train", "dog.3"), ("test", "2"), ("test", "1"):
            store = stored(role)[view]
            vectors.append(store.array[store.rows_of([table.loc[photo, "sha256"]], [photo])[0]])
        assert np.array_equal(vectors[0], vectors[1])
        assert not np.array_equal(vectors[0], vectors[2])


def many_photos(folder: Path, count: int) -> None:
    """Make a dataset of `count` photos, which differ in what follows the end of the picture."""
    folder.mkdir()
    (folder / "tiny.toml").write_text(TINY)
    jpeg, rows = encoded(picture(0)), []
    with contextlib.chdir(folder):
        PLACE.photos.mkdir(parents=True)
        for number in range(count):
            path, data = PLACE.photos / f"{number}.jpg", jpeg + str(number).encode()
            path.write_bytes(data)
            sha256 = hashlib.sha256(data).hexdigest()
            label = ("", "cat", "dog")[number % 3]
            fold = "" if label == "" else number % 5
            rows.append((number, path, label, sha256, fold, 60, 44, sha256, ""))
        photos.write(PLACE, pd.DataFrame(rows, columns=photos.COLUMNS))
        made = Dataset("", "log_loss", ["cat", "dog"], {}, count // 3, 0, False, 0, 0, {}, 0.0)
        Artifact(PLACE.data_stamp, {}, Dataset).record([], made)
        photos.write_classes(PLACE, ["cat", "dog"])
        Path("data/current").write_text("source\n")


def test_memory_does_not_grow_with_the_number_of_photos(tmp_path):
    """Peak memory at 3,200 photos is that at 320, but for the table of photos itself.

    Without the network, beside which a leak would be small.
    """
    peaks = []
    for count in 320, 3200:
        many_photos(tmp_path / str(count), count)
        after = "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        code = WITHOUT_NETWORK.format(before="", after=after)
        done = child(code, tmp_path / str(count))
        assert f"{2 * count:,} views in" in done.stdout, done.stdout + done.stderr
        peaks.append(int(done.stdout.split()[-1]))
    print(f"peak memory: {peaks[0] / 1024:.0f} MiB, {peaks[1] / 1024:.0f} MiB")
    assert peaks[1] < 1.1 * peaks[0]


def test_the_network_keeps_no_memory_of_its_batches():
    small = recipe_files.read("fast").features
    small = type(small)(**{**small.__dict__, "size": 32})
    tensors = weights.load("vgg16", weights_folder())
    network = extractor.build(small, FLOAT32, tensors, None)
    images = np.zeros((2, 32, 32, 3), np.uint8)

    def run(batches: int) -> int:
        """Run some batches; return the memory in use after them, in bytes."""
        for _ in range(batches):
            network.run(images)
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    before = run(20)
    assert run(200) - before < 10 * 2**20


def test_copies_of_the_workspace_are_as_it_is(computed, tmp_path):
    """The tests above compare with `computed`: a copy must be up to date without work."""
    with contextlib.chdir(copy_of(computed, tmp_path / "copy")):
        assert cache.fresh(PLACE, settings(), FLOAT32) == cache.CachedFeatures(
            200, 200 * 2048 + 4 * 128
        )
