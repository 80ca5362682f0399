"""make report: one page that says what was run, opens from the disk, and harms nobody."""

import contextlib
import csv
import html
import json
import os
import re
import shlex
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from dogs_vs_cats.analysis import label_issues
from dogs_vs_cats.analysis.label_issues import Suspect
from dogs_vs_cats.config import engines
from dogs_vs_cats.data import verdicts
from dogs_vs_cats.data.verdicts import Verdict
from dogs_vs_cats.kaggle import ledger
from dogs_vs_cats.kaggle.ledger import LedgerLine
from dogs_vs_cats.legible import legible
from dogs_vs_cats.modeling import out_of_fold
from dogs_vs_cats.modeling.calibration import Calibration
from dogs_vs_cats.modeling.out_of_fold import Predictions
from dogs_vs_cats.report import contents, figures, gallery, page
from dogs_vs_cats.submission import stage
from dogs_vs_cats.workspace import Workspace
from support.commands import PROJECT, TINY, command
from support.datasets import record_dataset
from support.pictures import write

# Names that would end a tag, an attribute, a formula, a legend; and a byte that is no UTF-8.
HOSTILE = ['<b onclick="x">cat', 'dog\'s "x" & $\\frac', os.fsdecode(b"_bird\xff")]
BLEND = "tiny.toml other.toml"
PAGE = Path("reports/source/tiny.html")


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A folder with three classes of drawings and two trained recipes, tiny and other."""
    folder = tmp_path_factory.mktemp("trained")
    for number, name in enumerate(HOSTILE):
        for photo in range(12):
            write(folder / "source" / name / f"{photo}.jpg", 100 * number + photo)
    (folder / "tiny.toml").write_text(TINY)
    (folder / "other.toml").write_text(TINY.replace("epochs = 3", "epochs = 2"))
    weights = os.environ.get("WEIGHTS") or str(PROJECT / "weights")
    with contextlib.chdir(folder):
        for script in (
            "data --source source",
            f"features --recipe '{BLEND}'",
            f"train --recipe '{BLEND}'",
        ):
            done = command(*shlex.split(script), WEIGHTS=weights)
            assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def made(trained, here) -> Path:
    """The current folder, with a copy of `trained`."""
    shutil.copytree(trained, here, dirs_exist_ok=True)
    return here


def text_of(page: Path) -> str:
    """Return a page's words, as a reader sees them."""
    found = re.sub(r"<style>.*?</style>|<[^>]*>", " ", page.read_text(encoding="utf-8"), flags=re.S)
    return " ".join(html.unescape(found).split())


def part_of(page: Path, section: str) -> str:
    """Return the HTML of a page's section."""
    (found,) = re.findall(
        rf'<section id="{section}">(.*?)</section>', page.read_text(encoding="utf-8"), flags=re.S
    )
    return found


def plots_of(page: Path) -> list[str]:
    """Return what the plots of a page say that they show."""
    source = page.read_text(encoding="utf-8")
    figures = re.findall(r"<figure>.*?</figure>", source, flags=re.S)
    return [html.unescape(re.search(r'<img [^>]*alt="(.*?)"', one)[1]) for one in figures]


def metrics_of(recipe: str) -> dict:
    return json.loads(Path("models/source", recipe, "metrics.json").read_text())


def test_the_page_says_what_was_run_and_what_came_of_it(made, run):
    ledger.put(
        LedgerLine(
            **{"time": "2026-11-20T10:00:00Z", "sha256": "a", "dataset": "source"},
            **{"recipe": "tiny", "oof_log_loss": "0.5", "competition": "some", "ref": "17"},
            **{"status": "COMPLETE", "public_score": "0.4321", "private_score": "0.1234"},
        )
    )
    printed = run("report", "--recipe", "tiny.toml")
    assert str(PAGE) in printed
    assert "up to date" not in printed
    text, found = text_of(PAGE), metrics_of("tiny")
    assert f"{found['accuracy']:.2%}" in text
    assert f"{found['log_loss']:.4f}" in text
    assert "0.4321" in text
    assert "Don't publish this page" in text
    assert "32 px, block5_pool, avgmax" in text
    for name in HOSTILE:
        assert legible(name) in text
    side_by_side, _, the_ledger = part_of(PAGE, "recipes").partition("</table>")
    names = re.findall(r"<tr><td>(?:<b>)?([^<]*)", side_by_side)
    assert names == sorted(
        ["other", "tiny", "tiny+other"], key=lambda name: metrics_of(name)["log_loss"]
    )
    assert "<td>2026-11-20 10:00</td><td>tiny</td>" in the_ledger
    assert plots_of(PAGE) == [
        "Learning curves: log loss by epoch, a line for each head",
        "Learning curves: accuracy by epoch, a line for each head",
        "Histogram of the p of the photo's own class, by class",
        "Reliability: p of the class it says against how often it is so",
        "Log loss out of fold as a function of the clip",
        "How many photos are how wide and how high",
        "The ledger: figures out of fold and scores over time",
    ]
    n = found["n"]
    said = out_of_fold.read(Path("models/source/tiny"))
    wrong = int((said.probabilities.argmax(axis=1) != said.labels).sum())
    assert f"{wrong} photos out of fold are taken for another class" in text
    assert f"{n} out of fold" in text
    # Each photo that is shown has its heat map.
    source = PAGE.read_text(encoding="utf-8")
    assert source.count("where the network looked in") == min(wrong, gallery.SHOWN) + min(
        n - min(wrong, gallery.SHOWN), gallery.SHOWN
    )
    # All of it is in the one file, and what a name holds is text.
    assert not re.search(r'(?:src|srcset|href)="(?!data:|#)', source)
    assert "<b onclick" not in source
    assert "<script" not in source
    assert "&lt;b onclick" in source
    # Once more: nothing to do, for the standard library alone.
    before = PAGE.stat().st_mtime_ns
    (made / "blocker").mkdir()
    for name in "numpy", "pandas", "keras", "matplotlib", "jinja2", "PIL", "cleanlab":
        (made / "blocker" / f"{name}.py").write_text("raise SystemExit('imported ' + __name__)")
    path = f"{made / 'blocker'}{os.pathsep}{PROJECT / 'src'}"
    again = command("report", "--recipe", "tiny.toml", PYTHONPATH=path)
    assert "up to date" in again.stdout, again.stdout + again.stderr
    assert PAGE.stat().st_mtime_ns == before
    # A line in the ledger makes it stale; the same inputs make the same bytes.
    first = PAGE.read_bytes()
    PAGE.unlink()
    run("report", "--recipe", "tiny.toml")
    assert PAGE.read_bytes() == first
    ledger.put(LedgerLine(time="2026-11-21T10:00:00Z", sha256="b", dataset="source"))
    assert "up to date" not in run("report", "--recipe", "tiny.toml")


def test_a_blend_is_reported_with_the_heat_maps_of_its_heaviest_member(made, run):
    run("report", "--recipe", BLEND)
    text = text_of(Path("reports/source/tiny+other.html"))
    weights = {one["name"]: one["weight"] for one in metrics_of("tiny+other")["members"]}
    heaviest = max(weights, key=weights.get)
    assert f"The heat maps are those of {heaviest} , the member with the largest weight" in text
    assert "A blend has no heads of its own" in text
    assert "network of tiny" in text
    assert "heads of other" in text
    # A member that is trained again makes the report stale.
    stamp = Path("models/source/other/stamp.json")
    stamp.write_text(stamp.read_text() + "\n")
    assert command("report", "--recipe", BLEND).returncode == 1


def test_photos_that_are_gone_or_changed_leave_a_tile_with_the_reason(made, run):
    shutil.rmtree("source")
    for name in HOSTILE:
        write(made / "source" / name / "3.jpg", 5)
    assert "written" in run("report", "--recipe", "tiny.toml")
    source = PAGE.read_text(encoding="utf-8")
    assert "no picture: No such file or directory" in source
    assert "no picture: the file has changed since the table of photos was made" in source
    assert "where the network looked" not in source
    assert "written" in run("report", "--recipe", "tiny.toml"), "they may come back"


def test_recipes_that_are_behind_or_of_other_groups_or_broken_are_told_apart(made, run):
    ledger.put(
        LedgerLine(
            **{"time": "2026-11-20T10:00:00Z", "sha256": "a", "dataset": "source"},
            **{"recipe": "tiny", "competition": "some", "ref": "17", "public_score": "0.4"},
        )
    )
    folder = Path("models/source/other")
    table = pd.read_csv(folder / "out-of-fold.csv", encoding_errors="surrogateescape")
    table.loc[1, "group"] = table.loc[0, "group"]
    text = table.to_csv(index=False)
    (folder / "out-of-fold.csv").write_text(text, errors="surrogateescape")
    stamp = json.loads((folder / "stamp.json").read_text())
    stamp["inputs"]["photos"] = "another table"
    (folder / "stamp.json").write_text(json.dumps(stamp))
    Path("models/source/tiny+other/stamp.json").write_text("{")
    run("report", "--recipe", "tiny.toml")
    text = text_of(PAGE)
    assert "as they were trained on other photos, labels, groups or folds: other." in text
    assert "Not of the photos, groups or members that there are now: other." in text
    side_by_side, *_ = part_of(PAGE, "recipes").partition("</table>")
    assert re.findall(r"<tr><td>(?:<b>)?([^<]*)", side_by_side) == ["tiny"]
    assert "<th>made</th><th>competition</th>" in PAGE.read_text(encoding="utf-8")


def test_an_untrained_recipe_is_one_line(made, refuse):
    shutil.rmtree("models/source/tiny")
    assert "make train RECIPE=tiny.toml" in refuse("report", "--recipe", "tiny.toml")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_shows_it_whole_in_any_light_without_a_network(made, run, browser, width, scheme):
    run("report", "--recipe", "tiny.toml")
    context = browser.new_context(
        viewport={"width": width, "height": 844}, color_scheme=scheme, offline=True
    )
    page = context.new_page()
    complaints, asked, dialogs = [], [], []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(PAGE.resolve().as_uri())
    assert page.title() == "source, tiny: report"
    # Every picture is there, as it should be in this light.
    images = page.locator("img")
    assert images.count() > 20
    assert page.evaluate("[...document.images].every(x => x.complete && x.naturalWidth > 0)")
    expected = page.locator("figure source").first.get_attribute("srcset")
    if scheme == "light":
        expected = page.locator("figure img").first.get_attribute("src")
    assert page.evaluate("document.querySelector('figure img').currentSrc") == expected
    ink, paper = page.evaluate(
        "(s => [s.color, s.backgroundColor])(getComputedStyle(document.body))"
    )
    bright = [sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in (ink, paper)]
    assert (bright[0] < bright[1]) == (scheme == "light")
    # What is folded opens; where a link leads is in sight; nothing is wider than the window.
    for summary in page.locator("details:not([open]) > summary").all():
        summary.click()
    assert page.locator("details:not([open])").count() == 0
    assert page.get_by_role("cell", name=HOSTILE[0]).first.is_visible()
    page.get_by_role("link", name="Verdicts").click()
    top = page.evaluate("document.querySelector('#verdicts').getBoundingClientRect().top")
    assert 0 <= top < 400
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    # A click on the text to copy selects all of it.
    page.locator("#verdicts-text").click()
    selected = page.evaluate("getSelection().toString()")
    assert selected.startswith("photo,verdict,why\n")
    assert 5 < selected.count(",keep,") < 30  # not those whose ids are no UTF-8
    # On paper it is light, and the links within the page are gone.
    page.emulate_media(media="print", color_scheme=scheme)
    assert not page.get_by_role("navigation").is_visible()
    light = page.locator("figure img").first.get_attribute("src")
    assert page.evaluate("document.querySelector('figure img').currentSrc") == light
    assert page.pdf(format="A4").startswith(b"%PDF")
    assert complaints == []
    assert dialogs == []
    assert [url for url in asked if not url.startswith("data:")] == [PAGE.resolve().as_uri()]
    context.close()


def made_up(p: list[float], labels: list[int], classes=("cat", "dog")) -> Predictions:
    """Return predictions that give p to class 1, the rest to the others alike."""
    p, count = np.array(p, np.float64), len(classes)
    probabilities = np.repeat((1 - p)[:, None] / (count - 1), count, axis=1)
    probabilities[:, 1] = p
    ids = [f"{i}" for i in range(len(p))]
    folds = np.arange(len(p)) % 5
    return Predictions(
        ids, ids, list(classes), np.array(labels), probabilities, folds, probabilities.copy()
    )


def test_without_a_mistake_a_group_counts_as_one_photo():
    labels = [i % 2 for i in range(1000)]
    found = made_up([0.01 + 0.98 * label for label in labels], labels)
    patients = replace(found, groups=[str(i // 50) for i in range(1000)])
    shown = {}
    for one in found, patients:
        name, value, shown[len(set(one.groups))] = contents.headline(one)[0]
        assert (name, value) == ("accuracy", "100.00%")
    # Wilson's: n / (n + 1.96 squared).
    assert shown == {1000: "99.62% to 100.00%", 20: "83.89% to 100.00%"}


def test_what_older_heads_got_is_a_past_score_and_that_of_these_heads_is_none(here, monkeypatch):
    workspace = Workspace("d")
    record_dataset(workspace, competition="real")
    lines = [
        LedgerLine(
            **{"sha256": str(number), "dataset": "d", "recipe": "fast", "competition": "real"},
            **{"oof_log_loss": "0.1", "public_score": "0.2", "ref": str(number)},
        )
        for number in range(3)
    ]
    for line in lines:
        ledger.put(line)
    found = made_up([0.9, 0.2, 0.7], [1, 0, 1])
    table = pd.DataFrame({"id": ["1", "2"], "label": "", "problem": ""})
    sent = {"submission": None}
    monkeypatch.setattr(
        stage, "artifact", lambda *_: SimpleNamespace(fresh=lambda: sent["submission"])
    )
    recipe = SimpleNamespace(name="fast")

    def expected() -> list[str]:
        return contents.expected(workspace, recipe, table, found, "log_loss")

    assert "corrected: 3 past scores were 2.00 times" in expected()[1]
    sent["submission"] = SimpleNamespace(sha256="2")
    assert len(expected()) == 1, "two are too few"
    sent["submission"] = SimpleNamespace(sha256="new")
    assert "corrected: 3 past scores" in expected()[1]


def test_the_surest_mistakes_come_first_and_then_what_is_nearest_to_a_coin_toss():
    found = made_up([0.9, 0.99, 0.1, 0.55, 0.4, 0.95], [0, 0, 0, 1, 0, 1])
    assert gallery.wrong(found) == [1, 0]
    assert gallery.unsure(found, [1, 0]) == [3, 4, 2, 5]


@pytest.mark.parametrize(("classes", "p_of"), [(("cat", "dog"), "dog"), (("a", "b", "c"), "a")])
def test_a_tile_has_p_of_the_second_of_two_classes_or_else_of_the_guess(classes, p_of):
    found = made_up([0.2], [1], classes)
    found.probabilities[0, 0] = 1 - found.probabilities[0, 1:].sum() if len(classes) == 2 else 0.7
    table = pd.DataFrame({"id": ["0"], "path": ["gone.jpg"], "sha256": [""]})
    (tile,) = gallery.tiles(table, found, [0], 32, None)
    assert (tile.label, tile.guess, tile.p_of) == (classes[1], classes[0], p_of)
    assert tile.p == pytest.approx(0.2 if p_of == "dog" else 0.7)
    assert "No such file" in tile.problem


def test_reliability_is_the_share_that_is_right_of_those_that_say_p():
    p = np.array([0.05, 0.05, 0.05, 0.95, 1.0, 0.55])
    right = np.array([0, 0, 1, 1, 1, 0], bool)
    x, y, error = figures.binned(p, right)
    assert x == pytest.approx([0.05, 0.55, 0.975])
    assert y == pytest.approx([1 / 3, 0, 1])
    assert error == pytest.approx([np.sqrt(2 / 27), 0, 0])


@pytest.mark.parametrize("classes", [("$cat", "_dog\x07"), ("a", "b", "c"), tuple("abcdefghijk")])
def test_figures_are_drawn_the_same_each_time_whatever_the_classes_are_called(classes):
    rng = np.random.default_rng(0)
    found = made_up(rng.uniform(0, 1, 60), rng.integers(len(classes), size=60), classes)
    fitted = Calibration(1.2, 0.01, 60)
    for draw in figures.histogram, figures.reliability, lambda x: figures.clips(x, fitted):
        one = draw(found)
        assert one == draw(found)
        assert one.light.startswith("data:image/svg+xml")
        assert one.light != one.dark


def test_the_ledger_is_drawn_even_if_it_was_edited():
    good = LedgerLine(time="2026-11-20T10:00:00Z", oof_log_loss="0.05", public_score="0.06")
    edited = [replace(good, time="20.11.26"), replace(good, public_score="?")]
    for some in [good, *edited], [LedgerLine()]:
        assert figures.past(some, "log_loss").light.startswith("data:image/svg+xml")


def test_what_is_no_letter_is_replaced():
    assert legible("caf\xe9 \U0001f431\n") == "caf\xe9 \U0001f431\n"
    assert legible(os.fsdecode(b"a\xff") + "\x00\u202e") == "a\ufffd\ufffd\ufffd"


def test_the_text_to_copy_changes_nothing_and_loses_nothing():
    decided = {"dog.1": Verdict("cat", 'a "cat", I say')}
    some = [
        Suspect("dog,2", "dog", "cat", 0.1, {}, {}, "fast says cat"),
        Suspect("dog\udcff", "dog", "cat", 0.1, {}, {}, "fast says cat"),
    ]
    rows = list(csv.reader(contents.verdicts_text(decided, some).splitlines()))
    assert rows == [
        ["photo", "verdict", "why"],
        ["dog.1", "cat", 'a "cat", I say'],
        ["dog,2", "keep", "fast says cat"],
    ]


def test_what_verdicts_changed_is_paired_by_photo_on_the_labels_as_they_came(here):
    after = made_up([0.8, 0.9, 0.4, 0.2, 0.7], [1, 1, 1, 0, 0])
    assert contents.pairs(here, after, {}) == []
    p = np.array([0.7, 0.4, 0.6, 0.8, 0.1])  # of 4, 3, 2, 1 and 0
    table = pd.DataFrame({"id": list("43210"), "group": list("43210"), "fold": 0})
    table["label"] = ["cat", "cat", "dog", "dog", "dog"]
    both = np.stack([1 - p, p], axis=1)
    out_of_fold.write(here, table, ["cat", "dog"], both, both)
    (here / out_of_fold.NAME).rename(here / out_of_fold.WITHOUT)
    decided = {"0": Verdict("drop", ""), "1": Verdict("dog", ""), "4": Verdict("dog", "")}
    everything, left = contents.pairs(here, after, decided)
    gaps = np.log([0.1 / 0.8, 0.8 / 0.9, 0.6 / 0.4, 0.6 / 0.8, 0.3 / 0.3])
    assert (everything.photos, left.photos) == (5, 3)
    assert everything.log_loss == pytest.approx(gaps.mean())
    assert everything.log_loss_se == pytest.approx(np.std(gaps, ddof=1) / np.sqrt(5))
    assert everything.accuracy == pytest.approx(0)  # 0 won, 2 lost
    assert left.log_loss == pytest.approx(gaps[1:4].mean())
    assert left.accuracy == pytest.approx(-1 / 3)


def test_verdicts_are_listed_with_what_they_changed(made, run):
    before = out_of_fold.read(Path("models/source/tiny"))
    own = before.raw[np.arange(len(before.ids)), before.labels]
    order = [before.ids[row] for row in np.argsort(own)]
    photo = next(photo for photo in order if legible(photo) == photo)
    for verdict in "keep", "drop":
        with Path("data/source/verdicts.csv").open("w", newline="") as file:
            csv.writer(file).writerows([verdicts.COLUMNS, [photo, verdict, "<u>neither</u>"]])
        told = run("train", "--recipe", "tiny.toml")
        assert ("up to date" in told) == (verdict == "keep")
        run("report", "--recipe", "tiny.toml")
        text = text_of(PAGE)
        assert ("They change nothing" in text) == (verdict == "keep")
    assert f"{photo} drop <u>neither</u>" in text
    assert f"those whose label you left {len(before.ids) - 1}" in text
    # Its place among the suspects is the next one's, in the text to copy too.
    every = label_issues.ranked(Workspace("source"), "tiny", engines.choose("keras", "auto"))
    next_ones = [one for one in every if one.id != photo][: page.SUSPECTS]
    assert len(next_ones) == 30 < len(every) - 1
    shown = re.findall(r"<b>\d+\. (.*?)</b>", part_of(PAGE, "suspects"))
    assert [html.unescape(one) for one in shown] == [legible(one.id) for one in next_ones]
    (copied,) = re.findall(r"<pre[^>]*>(.*?)</pre>", part_of(PAGE, "verdicts"), flags=re.S)
    rows = list(csv.reader(html.unescape(copied).splitlines()))[1:]
    assert rows[0] == [photo, "drop", "<u>neither</u>"]
    assert rows[1:] == [
        [x.id, "keep", x.why] for x in next_ones if legible(x.id + x.why) == x.id + x.why
    ]
    # The other recipe, and what is blended of both, did not obey it.
    assert "other verdicts" in text
    assert "other verdicts than verdicts.csv has now: other" in run("compare")
