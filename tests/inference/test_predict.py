"""make predict: own photos get what test photos get, and none shifts another."""

import csv
import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dogs_vs_cats import stopping
from dogs_vs_cats.config import engines, recipe_files
from dogs_vs_cats.data import photo_files
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.features import keras_backend
from dogs_vs_cats.features.rows import Rows
from dogs_vs_cats.inference import output, predictor
from dogs_vs_cats.legible import percent
from dogs_vs_cats.modeling import heads
from dogs_vs_cats.modeling.heads import keras_head, standardisation
from dogs_vs_cats.modeling.heads.keras_head import TrainedKerasHead
from dogs_vs_cats.workspace import Workspace
from support import commands
from support.exactness import CLOSE, EXACT
from support.pictures import encoded, kaggle_folder, picture

PLACE = Workspace("source")


def predict(*arguments: str, recipe: str = "tiny.toml", **variables: str) -> tuple[int, str, str]:
    return commands.called("predict", *arguments, "--recipe", recipe, **variables)


def read(path: str) -> list[dict]:
    with Path(path).open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        return list(csv.DictReader(file))


def printed_rows(printed: str) -> list[list[str]]:
    """Return the words of each line of the table, its header first."""
    # Another test that loads the weights at this moment makes it say that it waits.
    table = printed[printed.index("\nphoto ") + 1 :]
    return [x.split() for x in table.splitlines() if not x.startswith("predict:")]


@pytest.mark.parametrize("recipe", ["tiny", "tiny+other"])
def test_test_photos_get_exactly_the_numbers_of_the_submission(trained, recipe):
    called = recipe.replace("tiny", "tiny.toml").replace("other", "other.toml").replace("+", " ")
    expected = commands.submitted(recipe)
    assert len(set(expected.values())) > commands.TESTS // 2, "not all at the clip"
    for pattern, count in ("source/test", commands.TESTS), ("source/test/3*.jpg", 11):
        status, printed, err = predict(pattern, "--csv", "out.csv", recipe=called)
        assert (status, err) == (0, "")
        found = {Path(x["photo"]).stem: x["p_dog"] for x in read("out.csv")}
        assert found == {photo: expected[photo] for photo in found}
        assert len(found) == count
        header, *rows = printed_rows(printed)
        assert header == ["photo", "prediction"]
        for name, kind, share, *_ in rows:
            p = float(found[Path(name).stem])
            assert (kind, share) == ("dog" if p > 0.5 else "cat", percent(max(p, 1 - p)))
        assert all(
            x["class"] == ("dog" if float(x["p_dog"]) > 0.5 else "cat") for x in read("out.csv")
        )
    predict("source/test/7.jpg", "--csv", "out.csv", recipe=called)
    assert read("out.csv")[0]["p_dog"] == expected["7"], "alone, as among others"


@pytest.mark.extra("openvino", "nncf")
def test_with_openvino_too_one_photo_gets_the_submissions_number(here, run):
    """With JAX and torch: test_keras_backend.py."""
    (here / "tiny.toml").write_text(commands.LOGISTIC)
    run("data", "--source", str(kaggle_folder(here / "source")))
    options = ("--recipe", "tiny.toml", "--engine", "openvino")
    for script in "features", "train", "submit":
        run(script, *options)
    run("predict", "source/test/3.jpg", "--csv", "o.csv", *options)
    assert [x["p_dog"] for x in read("o.csv")] == [commands.submitted("tiny")["3"]]


def test_heads_predict_a_photo_bitwise_the_same_whatever_else_is_in_the_batch(here):
    """At the widths of real recipes, where a matrix product depends on its number of rows."""
    recipe = recipe_files.read("fast")
    for dimension in 1024, 25_088:
        rng = np.random.default_rng(1)
        features = (rng.random((300, dimension)) ** 4 * 9).astype(np.float16)
        rows = Rows({"plain": features}, {"plain": np.arange(300)}, np.full(300, -1))
        keras_backend.start()
        moments = standardisation.moments(rows, np.arange(300), ("plain",))
        model = TrainedKerasHead(keras_head.build(recipe.head, dimension, 2, moments))
        everything = heads.predict([model], rows, np.arange(300), ("plain",))
        assert len(np.unique(everything)) > 500
        for chosen in [0], [7], [299, 5, 80], list(range(250)), list(range(299, 0, -1)):
            p = heads.predict([model], rows, np.array(chosen), ("plain",))
            assert np.abs(p - everything[chosen]).max() <= (0 if EXACT else CLOSE)


def test_unreadable_photos_are_reported_and_shift_no_other(trained):
    folder = trained / "own"
    shutil.rmtree(folder, ignore_errors=True)
    expected = commands.submitted("tiny")
    bad = {
        "b empty.jpg": b"",
        "d text.jpg": b"I am no photo",
        "f cut.jpg": encoded(picture(1))[:400],
        "h bomb.png": encoded(Image.new("1", (20_000, 20_000)), "PNG"),
    }
    folder.mkdir()
    for name, data in bad.items():
        (folder / name).write_bytes(data)
    for name, number in ("a", 1), ("c", 2), ("e", 3), ("g", 4), ("i", 5), ("z", 6):
        shutil.copy(f"source/test/{number}.jpg", folder / f"{name}.jpg")
    (folder / "j gone.jpg").symlink_to("nothing")
    (folder / "k folder.jpg").mkdir()
    os.mkfifo(folder / "l pipe.jpg")
    (folder / ".hidden.jpg").write_bytes(b"x")
    (folder / "notes.txt").write_bytes(b"x")
    bad["j gone.jpg"] = None
    status, printed, err = predict("own", "--csv", "out/a.csv", "--json", "out/a.json")
    assert status == 1
    assert err.count("\n") == 1
    assert err.startswith(
        "error: 5 of 11 photos can't be read, the first of them own/b empty.jpg: "
    )
    found = read("out/a.csv")
    assert [x["photo"] for x in found] == sorted(x["photo"] for x in found)
    problems = {Path(x["photo"]).name: x["problem"] for x in found if x["problem"]}
    assert problems.keys() == bad.keys()
    assert problems["b empty.jpg"] == "empty file"
    assert problems["d text.jpg"] == "not an image"
    assert "can't be decoded" in problems["f cut.jpg"]
    assert "bomb" in problems["h bomb.png"]
    assert "No such file" in problems["j gone.jpg"]
    assert all(x["p_dog"] == x["class"] == "" for x in found if x["problem"])
    good = [(Path(x["photo"]).stem, x["p_dog"]) for x in found if not x["problem"]]
    assert good == [(x, expected[n]) for x, n in zip("acegiz", "123456", strict=True)]
    table, _, apart = printed.partition("predict: can't be read:\n")
    for name, problem in problems.items():
        assert f"{Path('own', name)}" not in table
        assert f"{Path('own', name)}" in apart
        assert problem in apart
    assert all(f"own/{x}.jpg " in table for x in "acegiz")
    # The same in JSON, where what is empty is null.
    as_json = json.loads(Path("out/a.json").read_text())
    assert [
        {k: "" if v is None else v if isinstance(v, str) else json.dumps(v) for k, v in x.items()}
        for x in as_json
    ] == found


def test_batches_that_lose_photos_lose_no_others(trained):
    """Few a batch, so that failures fall on every place of a batch, and whole batches fail."""
    paths = [Path("source/test", f"{n}.jpg") for n in range(1, 25)]
    engine = engines.choose("keras", "auto")
    model = predictor.load(PLACE, recipe_files.read("tiny.toml"), engine, at_once=3)
    expected = commands.submitted("tiny")
    for gone in [0], [2], [3, 4, 5], [0, 1, 2, 5, 8, 9, 23], [*range(23)], [*range(24)]:
        photos = [Path("none.jpg") if i in gone else path for i, path in enumerate(paths)]
        steps = []
        predictions = list(model.predict(photos, steps.append))
        assert [x.photo for x in predictions] == photos
        assert sum(steps) == 24
        for prediction in predictions:
            if prediction.photo.name == "none.jpg":
                assert prediction.probabilities is None
                assert prediction.problem
            else:
                assert repr(prediction.probabilities.tolist()[1]) == expected[prediction.photo.stem]
                assert prediction.problem == ""
                assert prediction.probabilities.sum() == pytest.approx(1)
    assert list(model.predict([])) == []


def test_a_photo_is_the_same_in_bytes_in_a_file_and_twice(trained):
    path = Path("source/test/2.jpg")
    model = predictor.load(PLACE, recipe_files.read("tiny.toml"), engines.choose("keras", "auto"))
    from_bytes = predictor.PhotoBytes("a", path.read_bytes())
    one, upload, two = model.predict([path, from_bytes, path])
    for same in upload, two:
        assert np.abs(one.probabilities - same.probabilities).max() <= (0 if EXACT else CLOSE)


def test_any_format_and_a_turned_photo_are_as_their_pixels(trained):
    folder = trained / "formats"
    folder.mkdir(exist_ok=True)
    image = picture(77, (90, 60))
    for kind in "png", "bmp", "tiff", "webp", "gif":
        options = {"lossless": True} if kind == "webp" else {}
        image.quantize(200).convert("RGB").save(folder / f"a.{kind}", **options)
    turned = Image.Exif()
    turned[0x0112] = 6  # shown turned by 90 degrees to the right
    image.quantize(200).convert("RGB").transpose(Image.Transpose.ROTATE_90).save(
        folder / "b.png", exif=turned
    )
    status, printed, err = predict("formats")
    assert (status, err) == (0, "")
    rows = printed_rows(printed)[1:]
    assert len(rows) == 6
    assert len({(kind, share) for _, kind, share in rows}) == 1


def test_odd_names_come_back_as_they_are(trained):
    folder = trained / "odd"
    folder.mkdir(exist_ok=True)
    names = ["two\nlines.jpg", 'a, "b".jpg', "[1].jpg", " blank .jpg", "ü.jpg"]
    names.append(os.fsdecode(b"latin\xe9.jpg"))
    for number, name in enumerate(names, 1):
        shutil.copy(f"source/test/{number}.jpg", folder / name)
    status, printed, err = predict("odd", "--csv", "odd.csv", "--json", "odd.json")
    assert (status, err) == (0, "")
    assert len(printed_rows(printed)) == 1 + len(names)
    expected = commands.submitted("tiny")
    as_csv = [*names[:-1], r"latin\xe9.jpg"]  # which is always UTF-8
    as_json = json.loads(Path("odd.json").read_text())
    for rows, known in (read("odd.csv"), as_csv), (as_json, names):
        found = {Path(x["photo"]).name: str(x["p_dog"]) for x in rows}
        assert found == {name: expected[str(n)] for n, name in enumerate(known, 1)}
    assert Path("odd.csv").read_bytes().decode("utf-8")
    # A name that looks like a pattern is a name where there is such a file.
    assert [x.name for x in photo_files.named_by("odd/[1].jpg")] == ["[1].jpg"]


def test_a_stopped_run_keeps_the_old_csv_and_no_hidden_file(trained, monkeypatch):
    Path("out.csv").write_text("old")
    seen = []

    def stop(number: int) -> None:
        seen.extend(Path().glob(".out.*"))
        if seen:  # other files are written before
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(os, "fsync", stop)
    status, _, err = predict("source/test", "--csv", "out.csv")
    assert (status, err) == (128 + signal.SIGTERM, f"error: {stopping.STOPPED}\n")
    assert len(seen) == 1
    assert not seen[0].exists()
    assert Path("out.csv").read_text() == "old"


def test_what_is_named_is_found_once_and_in_natural_order(here, monkeypatch):
    hidden = "p/.x.jpg", "p/.git/1.jpg"
    for name in "p/10.jpg", "p/9.JPEG", "p/IMG.HEIC", "p/sub/1.png", "p/a.txt", *hidden:
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).touch()
    everything = [Path(x) for x in ("p/9.JPEG", "p/10.jpg", "p/IMG.HEIC", "p/sub/1.png")]
    for text in "p", "p/", "p/*", "p/**", "**":
        assert photo_files.named_by(text) == everything
    assert photo_files.named_by("p/*.jpg") == [Path("p/10.jpg")]
    assert photo_files.named_by("p/a.txt") == [Path("p/a.txt")], "named itself"
    monkeypatch.setenv("HOME", str(here))
    assert photo_files.named_by("~/p/sub") == [here / "p/sub/1.png"]
    (here / "empty").mkdir()
    os.mkfifo(here / "pipe.jpg")
    for text in "", "q", "q/*.jpg", "p/*.txt", "empty", "pipe.jpg":
        with pytest.raises(UserError, match=r"^No photos in |^PHOTOS="):
            photo_files.named_by(text)


def test_photos_without_a_known_ending_are_predicted_and_other_files_are_named(trained):
    folder = trained / "mixed"
    folder.mkdir()
    for number, name in enumerate(("a", "b.jpg_large", "c.jpe"), 1):
        shutil.copy(f"source/test/{number}.jpg", folder / name)
    (folder / "film.mov").write_bytes(b"x")
    (folder / "@eaDir").mkdir()
    shutil.copy("source/test/4.jpg", folder / "@eaDir")
    status, printed, err = predict("mixed", "--csv", "mixed.csv")
    assert (status, err) == (0, "")
    expected = commands.submitted("tiny")
    found = {Path(x["photo"]).name: x["p_dog"] for x in read("mixed.csv")}
    assert found == {"a": expected["1"], "b.jpg_large": expected["2"], "c.jpe": expected["3"]}
    assert "1 file left out as no photos, by ending and first bytes: mixed/film.mov\n" in printed


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (
            ("--csv", "a", "--json", "a"),
            "CSV and JSON are both a: they must be two files. Name another.",
        ),
        (
            ("--csv", "a", "--json", "link"),
            "CSV and JSON are both a: they must be two files. Name another.",
        ),
        (("--csv", "folder"), "CSV must be a file, and folder is a folder. Name another."),
        (("--csv", "pipe"), "CSV must be a file, and pipe is not a regular file. Name another."),
        (("--csv", "loop"), "CSV must be a file, and loop is not a regular file. Name another."),
        (
            ("--json", "/dev/null"),
            "JSON must be a file, and /dev/null is not a regular file. Name another.",
        ),
        (
            ("--csv", "1.jpg/x/a"),
            "CSV can't be written to 1.jpg/x/a: {here}/1.jpg is not a folder. Name another.",
        ),
    ],
)
def test_what_can_not_be_written_is_refused_before_anything_is_computed(here, options, line):
    Path("1.jpg").touch()
    Path("folder").mkdir()
    os.mkfifo("pipe")
    Path("loop").symlink_to("loop")
    Path("link").symlink_to("a")
    for check in [], ["--check"]:
        line = line.replace("{here}", str(here))
        assert predict("1.jpg", *options, *check) == (1, "", f"error: {line}\n")


def test_a_pipe_of_a_shell_is_refused(here):
    Path("1.jpg").touch()
    done = commands.command("predict", "1.jpg", "--csv", "/dev/stdout")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "CSV must be a file, and /dev/stdout is not a regular file." in done.stderr


def test_a_folder_that_is_read_only_is_refused_before_anything_is_computed(here, monkeypatch):
    Path("1.jpg").touch()
    assert predict("1.jpg", "--check") == (0, "", "")
    assert predict("nowhere.jpg", "--check")[0] == 1
    for name in "a.csv", "new/folder/a.csv":
        assert predict("1.jpg", "--check", "--csv", name) == (0, "", "")
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere
    for name in "a.csv", "new/folder/a.csv":
        status, printed, err = predict("1.jpg", "--csv", name)
        assert (status, printed, err.count("\n")) == (1, "", 1)
        assert err.startswith(f"error: CSV can't be written to {name}: {here} is read-only. ")
    assert not Path("new").exists()


def test_a_link_stays_one_and_what_it_leads_to_is_written(here):
    (here / "far").mkdir()
    (here / "far/old.csv").write_text("old")
    for name in "old", "new":
        Path(f"{name}.csv").symlink_to(f"far/{name}.csv")
        with output.writer(Path(f"{name}.csv"), ["cat", "dog"], "csv"):
            pass
        assert Path(f"{name}.csv").is_symlink()
        assert Path(f"far/{name}.csv").read_text() == "photo,p_dog,class,unlike,problem\n"


def test_each_of_more_than_two_classes_has_a_column():
    """Of two classes only the last has one, as in a submission."""
    prediction = predictor.PhotoPrediction(Path("a.jpg"), np.array([0.2, 0.5, 0.3]), "")
    assert output.row(prediction, ["cat", "dog", "owl"]) == {
        "photo": "a.jpg",
        "p_cat": 0.2,
        "p_dog": 0.5,
        "p_owl": 0.3,
        "class": "dog",
        "unlike": False,
        "problem": "",
    }
    bad = output.row(
        predictor.PhotoPrediction(Path("b.jpg"), None, "empty file"), ["cat", "dog", "owl"]
    )
    assert list(bad) == output.columns(["cat", "dog", "owl"])
    assert [bad[x] for x in ("p_owl", "class", "unlike")] == [None] * 3
    assert bad["problem"] == "empty file"
    assert output.columns(["cat", "dog"]) == ["photo", "p_dog", "class", "unlike", "problem"]


@pytest.mark.parametrize(
    ("p", "shown"), [(0.9912, "99.1%"), (0.99999, ">99.9%"), (1.0, "100.0%"), (0.5, "50.0%")]
)
def test_a_terminal_shows_percents_and_100_only_where_it_is_so(p, shown):
    prediction = predictor.PhotoPrediction(Path("a.jpg"), np.array([p, 1 - p]), "")
    table = output.Table([Path("longer.jpg")], ["cat", "birds"])
    assert table.line(prediction, ["cat", "birds"]) == f"a.jpg       cat   {shown:>6}"
    assert table.header() == "photo       prediction"


def test_what_is_unlike_the_training_photos_is_said_in_the_terminal_the_csv_and_the_json(trained):
    near, far = Path("own/near.png"), Path("own/far.png")
    near.parent.mkdir()
    # A training photo is not unlike itself and its like; these pictures are noise.
    shutil.copy("source/train/cat.1.jpg", near)
    Image.effect_noise((64, 64), 120).save(far)
    status, printed, _ = predict("own", "--csv", "o.csv", "--json", "o.json")
    assert status == 0
    assert [row[3:] for row in printed_rows(printed)[1:]] == [
        ["unlike", "the", "training", "photos"],
        [],
    ]
    assert (
        "predict: 1 photo unlike the training photos: the model knows cat and dog only" in printed
    )
    assert [(Path(x["photo"]), x["unlike"]) for x in read("o.csv")] == [
        (far, "true"),
        (near, "false"),
    ]
    assert [x["unlike"] for x in json.loads(Path("o.json").read_text())] == [True, False]
    _, printed, _ = predict(str(near))
    assert "unlike" not in printed


def test_predict_says_once_what_model_it_is(trained):
    accuracy = json.loads((PLACE.model("tiny") / "metrics.json").read_text())["accuracy"]
    _, printed, _ = predict("source/test/1.jpg")
    model = f"1 photo, with tiny of source, accuracy {accuracy:.2%} out of fold\n"
    assert printed.startswith(f"predict: {model}")
    assert printed.count("tiny") == 1
