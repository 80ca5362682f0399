"""make features: right numbers, whatever the batch, the threads, the order and the kills."""

import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import filelock
import numpy as np
import pytest

from dogs_vs_cats import files
from dogs_vs_cats.config import engines, recipe_files
from dogs_vs_cats.data import photos, pixels
from dogs_vs_cats.features import cache, extraction, keras_backend, weights
from dogs_vs_cats.workspace import Workspace, weights_folder
from support.commands import PROJECT, command
from support.pictures import kaggle_folder, write

PLACE = Workspace("source")


@pytest.fixture
def made(here, run):
    """A small dataset, its table made."""
    source = kaggle_folder(here / "source")
    run("data", "--source", str(source))
    return source


def stored(role: str, precision: str = "auto") -> dict:
    recipe = recipe_files.read("tiny.toml")
    return cache.load(PLACE, recipe.features, engines.choose("keras", precision), role)


def test_the_numbers_are_those_of_keras_applications(made, run, here):
    """Preprocessing, weights, tap, pooling and views against the library's own, in float32."""
    keras = keras_backend.start()

    text = (here / "tiny.toml").read_text()
    more = 'train_views = ["plain", "mirror", "zoom", "top-left-mirror"]'
    (here / "tiny.toml").write_text(text.replace('train_views = ["plain", "mirror"]', more))
    run("features", "--recipe", "tiny.toml", "--precision", "float32")
    network = keras.applications.VGG16(weights=None, include_top=False, input_shape=(32, 32, 3))
    for layer, pair in weights.load("vgg16", weights_folder()).items():
        network.get_layer(layer).set_weights(list(pair))
    table = photos.train(photos.read(PLACE))
    found = stored("train", "float32")
    assert list(found) == ["plain", "mirror", "zoom", "top-left-mirror"]
    for view, store in found.items():
        for row in table.itertuples():
            crop = view.removesuffix("-mirror").replace("mirror", "plain")
            image = pixels.crops(Path(row.path), 32, [crop])[crop].astype(np.float32)
            image = image[:, ::-1] if view.endswith("mirror") else image
            maps = network(keras.applications.vgg16.preprocess_input(image[None])).numpy()[0]
            expected = np.concatenate([maps.mean((0, 1)), maps.max((0, 1))])
            cached = store.array[store.rows_of([row.sha256], [row.id])[0]]
            assert np.allclose(cached, expected, rtol=2e-3, atol=2e-3)
    assert not np.array_equal(found["plain"].array, found["mirror"].array)
    assert list(stored("test", "float32")) == ["plain", "mirror"]


def test_bfloat16_agrees_with_float32(made, run):
    run("features", "--recipe", "tiny.toml", "--precision", "float32")
    run("features", "--recipe", "tiny.toml", "--precision", "bfloat16")
    one, other = (stored("train", p)["plain"].array.astype(float) for p in ("float32", "bfloat16"))
    assert not np.array_equal(one, other)
    assert np.abs(one - other).mean() < 0.02 * np.abs(one).mean()
    assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.999


def csv_bytes() -> bytes:
    (path,) = Path("submissions").glob("source-tiny-*.csv")
    return path.read_bytes()


def test_batch_threads_and_listing_change_no_byte_of_the_csv(here):
    def run(*arguments):  # threads are set when a process starts Keras
        done = command(*arguments)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr

    source = kaggle_folder(here / "one" / "source", each=45, tests=30)
    # The same photos, made in the reverse order: most file systems list them otherwise.
    turned = here / "other" / "source"
    for path in sorted(source.rglob("*.jpg"), reverse=True):
        (turned / path.relative_to(source)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, turned / path.relative_to(source))
    results = set()
    for photos_in, batch, threads in (source, "32", None), (turned, "7", "1"), (source, "1", "2"):
        shutil.rmtree("cache", ignore_errors=True)
        shutil.rmtree("models", ignore_errors=True)
        shutil.rmtree("data", ignore_errors=True)
        shutil.rmtree("submissions", ignore_errors=True)
        share = ["--threads", threads] if threads else []
        run("data", "--source", str(photos_in))
        run("features", "--recipe", "tiny.toml", "--batch", batch, *share)
        run("train", "--recipe", "tiny.toml", *share)
        run("submit", "--recipe", "tiny.toml", *share)
        results.add(csv_bytes())
    assert len(results) == 1


def test_killed_at_random_moments_the_arrays_are_byte_identical(here):
    source = kaggle_folder(here / "source", each=500, tests=500)
    script = [sys.executable, str(PROJECT / "tests/support/kill_and_resume.py"), str(source)]
    done = subprocess.run(
        [*script, "--kills", "3", "--recipe", "tiny.toml", "--seed", "1"],
        capture_output=True,
        text=True,
        check=False,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 kills; 4 of 4 arrays byte-identical" in done.stdout


def test_a_new_or_changed_photo_computes_just_itself(made, run):
    run("features", "--recipe", "tiny.toml")
    write(made / "train" / "cat.50.jpg", 4242)
    write(made / "test" / "1.jpg", 4343)
    run("data", "--source", str(made))
    printed = run("features", "--recipe", "tiny.toml")
    assert "features: 4 views in" in printed
    rows = photos.test(photos.read(PLACE))
    assert rows["id"].tolist() == ["1", "2", "3", "4", "5"]
    assert stored("test")["plain"].rows_of(rows["sha256"].tolist(), rows["id"].tolist()).size == 5


def test_a_photo_changed_behind_the_tables_back_is_refused(made, run, refuse):
    write(made / "train" / "cat.3.jpg", 4242)
    assert "has changed" in refuse("features", "--recipe", "tiny.toml")
    (made / "train" / "cat.3.jpg").unlink()
    assert "cat.3.jpg" in refuse("features", "--recipe", "tiny.toml")
    run("data", "--source", str(made))
    run("features", "--recipe", "tiny.toml")


def test_another_view_computes_only_that_view(made, run, here):
    text = (here / "tiny.toml").read_text()
    (here / "plain.toml").write_text(text.replace('["plain", "mirror"]', '["plain"]'))
    run("features", "--recipe", "plain.toml")
    assert "features: 29 views in" in run("features", "--recipe", "tiny.toml")
    assert "up to date" in run("features", "--recipe", "plain.toml")


def test_damage_is_noticed_by_training_and_redone(made, run, refuse):
    run("features", "--recipe", "tiny.toml")
    (path,) = Path("cache/source").glob("*/train-plain/features.npy")
    stat, data = path.stat(), bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    # Even with its time of change put back, so that the quick look sees nothing.
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert "up to date" in run("features", "--recipe", "tiny.toml")
    assert "Run `make features` again" in refuse("train", "--recipe", "tiny.toml")
    assert "features: 24 views in" in run("features", "--recipe", "tiny.toml")
    run("train", "--recipe", "tiny.toml")


def test_features_before_data_is_refused(here, refuse):
    assert "make data" in refuse("features", "--recipe", "tiny.toml")
    assert "There is no dataset" in refuse("features", "--dataset", "other")


def test_too_little_disk_is_an_error_before_the_work(made, monkeypatch):
    from dogs_vs_cats.errors import UserError

    usage = shutil.disk_usage(".")
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    recipe = recipe_files.read("tiny.toml")
    monkeypatch.setattr(extraction, "extractor_of", None)  # called, it would be another error
    with pytest.raises(UserError, match="free disk"):
        extraction.build(
            PLACE, recipe.features, engines.choose("keras", "float32"), extraction.Run()
        )


def test_a_disk_that_fills_up_is_one_line_and_nothing_is_lost(here, run):
    """A file size limit makes writes fail where a full disk would, with the same kind of error."""
    run("data", "--source", str(kaggle_folder(here / "source", each=60, tests=5)))
    limited = (
        "import resource, runpy, sys\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        f"sys.argv = ['features', '--recipe', 'tiny.toml']\n"
        f"runpy.run_path({str(PROJECT / 'scripts/features.py')!r}, run_name='__main__')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", limited],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT / "src")},
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stderr.count("\n") == 1
    assert "Can't write" in done.stderr
    assert not list(Path("cache").rglob("stamp.json"))
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 100_000
    run("features", "--recipe", "tiny.toml")


def test_a_second_run_on_the_same_cache_waits_and_says_so(made, run):
    recipe = recipe_files.read("tiny.toml")
    base = cache.folder(PLACE, recipe.features, engines.choose("keras", "auto"))
    base.mkdir(parents=True)
    with filelock.FileLock(base / ".lock"):
        environment = {**os.environ, "PYTHONPATH": str(PROJECT / "src")}
        child = subprocess.Popen(
            [sys.executable, str(PROJECT / "scripts/features.py"), "--recipe", "tiny.toml"],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        assert "waiting" in child.stdout.readline()
        time.sleep(0.5)
        assert child.poll() is None
    child.communicate()
    assert child.returncode == 0


def test_every_photo_unreadable_in_the_test_set_is_no_crash(here, run):
    source = kaggle_folder(here / "source", tests=0)
    (source / "test").mkdir()
    for number in 1, 2:
        (source / "test" / f"{number}.jpg").write_bytes(b"")
    run("data", "--source", str(source))
    run("features", "--recipe", "tiny.toml")
    run("train", "--recipe", "tiny.toml")
    run("submit", "--recipe", "tiny.toml")
    assert csv_bytes() == b"id,label\n1,0.5\n2,0.5\n"


def test_a_photo_to_train_on_and_to_predict_is_in_both_arrays(here, run):
    source = kaggle_folder(here / "source")
    shutil.copy(source / "train" / "dog.3.jpg", source / "test" / "2.jpg")
    run("data", "--source", str(source))
    run("features", "--recipe", "tiny.toml")
    table = photos.read(PLACE).set_index("id")
    assert table.loc["dog.3", "sha256"] == table.loc["2", "sha256"]
    for view in "plain", "mirror":
        vectors = []
        for role, photo in ("train", "dog.3"), ("test", "2"), ("test", "1"):
            store = stored(role)[view]
            vectors.append(store.array[store.rows_of([table.loc[photo, "sha256"]], [photo])[0]])
        assert np.array_equal(vectors[0], vectors[1])
        assert not np.array_equal(vectors[0], vectors[2])


def test_memory_does_not_grow_with_the_number_of_photos(here):
    """Peak memory at 3,200 photos is that at 320, but for the table of photos itself."""
    peaks = []
    for each, tests in (100, 120), (1000, 1200):
        folder = here / str(each)
        folder.mkdir()
        shutil.copy("tiny.toml", folder)
        kaggle_folder(folder / "source", each=each, tests=tests)
        probe = (
            "import resource, runpy, sys\n"
            "try: runpy.run_path(sys.argv[0], run_name='__main__')\n"
            "finally: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
        )
        for script, *options in (
            ("data", "--source", "source"),
            ("features", "--recipe", "tiny.toml"),
        ):
            path = str(PROJECT / "scripts" / f"{script}.py")
            code = f"import sys; sys.argv = {[path, *options]!r}\n" + probe
            done = subprocess.run(
                [sys.executable, "-c", code],
                cwd=folder,
                capture_output=True,
                text=True,
                env={**os.environ, "PYTHONPATH": str(PROJECT / "src")},
                check=True,
            )
        peaks.append(int(done.stdout.split()[-1]))
    print(f"peak memory: {peaks[0] / 1024:.0f} MiB, {peaks[1] / 1024:.0f} MiB")
    assert peaks[1] < 1.1 * peaks[0]


def test_other_settings_have_another_folder():
    fast, best = recipe_files.read("fast").features, recipe_files.read("best").features
    folders = {
        cache.folder(PLACE, f, engines.choose("keras", p))
        for f in (fast, best)
        for p in ("float32", "bfloat16")
    }
    assert len(folders) == 4
    assert command("features", "--precision", "int4").returncode == 1
