"""The Python interface: named as make's targets, each stage makes what it needs, results show."""

import dataclasses
import html
import inspect
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dogs_vs_cats import stages
from dogs_vs_cats.features import extraction, keras_backend
from dogs_vs_cats.kaggle import ledger
from dogs_vs_cats.kaggle.competitions import REDUX
from dogs_vs_cats.modeling import training
from dogs_vs_cats.stages import UserError, _display
from support.commands import LOGISTIC, PROJECT, TESTS
from support.pictures import kaggle_folder

PUBLIC = {name: getattr(stages, name) for name in stages.__all__}
FUNCTIONS = {name: value for name, value in PUBLIC.items() if inspect.isfunction(value)}


def test_names_are_those_of_make_and_options_those_of_its_variables():
    makefile = (PROJECT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z]+):.*##", makefile, re.MULTILINE))
    variables = set(re.search(r"^VARIABLES := ((?:.*\\\n)*.*)", makefile, re.MULTILINE)[1].split())
    assert len(FUNCTIONS) == 13
    assert FUNCTIONS.keys() < targets
    for name, function in FUNCTIONS.items():
        options = inspect.signature(function).parameters
        assert {option.upper() for option in options} <= variables, name


def test_what_is_public_is_listed_and_documented():
    assert dir(stages) == sorted(PUBLIC)
    assert not hasattr(stages, "review")
    for name, value in PUBLIC.items():
        assert value.__doc__, name
        if dataclasses.is_dataclass(value):
            assert value.__dataclass_params__.frozen, name
    for name, function in FUNCTIONS.items():
        result = inspect.signature(function).return_annotation
        assert f"`make {name}`" in function.__doc__
        assert result is PUBLIC[f"{name.title()}Result"]
        for option in inspect.signature(function).parameters:
            known = function.__doc__ + stages.features.__doc__
            assert re.search(rf"\b{option}\b", known), (name, option)


def test_a_stage_is_imported_by_itself_and_starts_nothing():
    code = "import sys; from dogs_vs_cats import stages; stages.train; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "dogs_vs_cats.stages._train" in loaded
    assert not loaded & {"dogs_vs_cats.stages._report", "dogs_vs_cats.export"}
    assert not loaded & {"keras", "kaggle", "matplotlib", "numpy", "pandas", "PIL", "tensorflow"}


@pytest.fixture
def logistic(here) -> Path:
    """A folder with photos in Kaggle's layout, and a recipe that is quick to train."""
    (here / "tiny.toml").write_text(LOGISTIC)
    kaggle_folder(here / "source", tests=TESTS)
    return here


def test_submit_makes_what_it_needs_once_and_writes_the_csv_where_asked(
    logistic, monkeypatch, capfd
):
    data = stages.data("source", competition=REDUX)
    assert (data.dataset, data.test_photos, data.problems) == ("source", TESTS, {})
    assert sum(data.photos_per_class.values()) == 24
    result = stages.submit("tiny.toml", output="out/submission.csv", upload=False)
    assert result.output.read_bytes() == result.csv.read_bytes()
    assert (result.rows, result.recipe, result.public_score) == (TESTS, "tiny", "")
    assert stages.check(result.output).rows == TESTS
    assert result.expected.low < result.metrics.log_loss < result.expected.high
    printed = capfd.readouterr().out
    for stage in "data: source: ", "features: 128 views", "train: source, tiny: 5 heads in":
        assert stage in printed

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(extraction, "build", fail)
    monkeypatch.setattr(training, "build", fail)
    monkeypatch.setattr("dogs_vs_cats.submission.stage.build", fail)
    assert stages.submit(recipe="tiny.toml", upload=False) == dataclasses.replace(
        result, output=None
    )
    printed = capfd.readouterr().out
    assert "up to date" in printed
    assert "train:" not in printed
    # Heads and CSV are all that submit takes: features that are gone are not computed for nothing.
    shutil.rmtree("cache")
    assert stages.submit(recipe="tiny.toml", upload=False).csv == result.csv


def test_a_result_shows_itself_in_a_notebook(trained):
    both = "tiny.toml other.toml"
    features = stages.features(both)
    assert (features.computed, features.recipe) == (0, "tiny+other")
    submit = stages.submit("tiny.toml")
    shown = [
        (stages.data("source"), ["source", "40", "data/source/photos.csv"]),
        (features, ["views of photos", f"{features.views:,}"]),
        (stages.train("tiny.toml"), ["accuracy", "log loss", "src='data:image/png;base64,"]),
        (submit, [str(submit.csv), "40 rows, checked", submit.expected.text()]),
        (stages.compare(), ["<th>log loss</th>", "<td>tiny</td>", "reports/index.html"]),
        (stages.status("tiny.toml"), ["font-family:monospace", "up to date"]),
        (stages.check(submit.csv), ["40, one for each test photo: good"]),
    ]
    for result, texts in shown:
        page = result._repr_html_()
        for text in texts:
            assert text in page, type(result)
    predicted = stages.predict("source/test", "tiny.toml")
    assert predicted._repr_html_().count("<tr>") == TESTS + 2
    assert [row["photo"] for row in predicted.rows[:2]] == [
        "source/test/1.jpg",
        "source/test/2.jpg",
    ]


def test_a_photo_that_can_t_be_read_costs_no_prediction_of_others(trained):
    Path("source/test/0.jpg").write_text("no photo")
    broken, *others = stages.predict("source/test", "tiny.toml").rows
    assert broken["problem"]
    assert len([row for row in others if row["p_dog"] is not None]) == TESTS


def test_features_that_members_of_a_blend_share_count_once(trained):
    (trained / "same.toml").write_text(LOGISTIC)
    one, two = stages.features("tiny.toml"), stages.features("tiny.toml same.toml")
    assert (two.views, two.bytes) == (one.views, one.bytes)


def test_what_another_cell_sets_in_keras_does_not_change_what_is_trained(trained):
    predicted = Path("models/source/tiny/out-of-fold.csv")
    before = predicted.read_bytes()
    shutil.rmtree(predicted.parent)
    keras_backend.start().config.set_dtype_policy("mixed_float16")
    stages.train("tiny.toml")
    assert predicted.read_bytes() == before


def test_a_report_is_shown_whole_inside_the_notebook(trained):
    result = stages.report("tiny.toml")
    frame = re.search(r'srcdoc="([^"]*)"', result._repr_html_())[1]
    assert html.unescape(frame) == result.page.read_text()
    assert result.index.is_file()
    result.page.unlink()
    assert "<iframe" not in result._repr_html_()


def test_texts_from_files_can_t_become_html():
    card = _display.card("<b>", {"<i>": "<script>", "none": None}, _display.table(["<u>"], [["&"]]))
    assert "<script>" not in card
    assert "&lt;b&gt;" in card
    assert "&lt;u&gt;" in card
    assert "none" not in card
    assert _display.lines(["<a>"]) == "<pre style='font-family:monospace'>&lt;a&gt;</pre>"
    assert _display.picture(Path("gone.png"), "") == ""


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (lambda: stages.submit(threads=0), "threads=0 is not a whole number above 0."),
        (lambda: stages.features(batch="9"), "batch='9' is not a whole number above 0."),
        (lambda: stages.data("source", threads=True), "threads=True is not a whole number"),
        (lambda: stages.submit(upload="0"), "upload='0' is neither True nor False."),
        (lambda: stages.upload("a.csv", again=1), "again=1 is neither True nor False."),
        (lambda: stages.features(cluster="here"), "cluster='here' is not local, auto or the host"),
        (lambda: stages.search(nested="1"), "nested='1' is neither True nor False."),
        (lambda: stages.submit(["light"]), "recipe=['light'] is not a text or a path: several"),
        (lambda: stages.predict(["a.jpg"]), "photos=['a.jpg'] is not a text or a path: give a"),
        (lambda: stages.data("nowhere"), "SOURCE='nowhere' isn't there"),
        (lambda: stages.submit("lihgt"), "Did you mean 'light'?"),
        (lambda: stages.train("fast"), "There are no photos yet. Run `make data SOURCE=...` first"),
        (lambda: stages.scores(), "no submissions to dogs-vs-cats-redux-kernels-edition yet"),
        (lambda: stages.upload("gone.csv"), "There are no photos yet"),
    ],
)
def test_a_mistake_is_one_line(here, monkeypatch, call, line):
    monkeypatch.setattr("dogs_vs_cats.kaggle.submissions.list_all", lambda slug: [])
    (here / "source").mkdir()
    with pytest.raises(UserError) as error:
        call()
    assert line in str(error.value)
    assert "\n" not in str(error.value)
    assert ledger.read() == []
