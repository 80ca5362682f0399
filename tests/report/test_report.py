"""make report: one page that says what was run, opens from the disk, and is safe to open."""

import base64
import csv
import hashlib
import html
import json
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from dogs_vs_cats import code_keys, report
from dogs_vs_cats.analysis import label_issues
from dogs_vs_cats.analysis.label_issues import AGREES
from dogs_vs_cats.config import engines, recipe_files
from dogs_vs_cats.data import verdicts
from dogs_vs_cats.features import timings
from dogs_vs_cats.kaggle import ledger
from dogs_vs_cats.kaggle.ledger import LedgerLine
from dogs_vs_cats.legible import legible
from dogs_vs_cats.modeling import evaluation, metrics, out_of_fold, training
from dogs_vs_cats.modeling.metrics import Estimate
from dogs_vs_cats.modeling.results import Baseline, Baselines
from dogs_vs_cats.report import page, template
from dogs_vs_cats.report.sections import label_issues as issues_section
from dogs_vs_cats.report.sections import mistakes
from dogs_vs_cats.workspace import Workspace
from support.commands import PROJECT, command
from support.pictures import write
from support.report_pages import BLEND, HOSTILE, PAGE, plots_of, section_of, text_of

REPORT = "report", "--recipe", "tiny.toml"
WORKSPACE = Workspace("source")


def metrics_of(recipe: str) -> dict:
    return json.loads(Path("models/source", recipe, "metrics.json").read_text())


def fresh() -> page.ReportPage | None:
    """Return the page of tiny if it is up to date."""
    return page.artifact(WORKSPACE, recipe_files.read("tiny.toml"), keras()).fresh()


def keras() -> engines.Engine:
    return engines.choose("keras", "auto")


def test_a_result_no_better_than_a_guess_has_a_note_above_it(made, run, without_plots, monkeypatch):
    """The page is drawn again with baselines that are beaten where they were not, or not beaten."""
    known = evaluation.read(Path("models/source/tiny"))
    warned = bool(known.warnings())
    guess = Baseline(0.1234, -0.1, 0.01, beaten=warned)
    other = replace(known, baselines=Baselines(guess, guess))
    pages = [section_of(PAGE, "result")]
    monkeypatch.setattr(evaluation, "read", lambda folder: other)
    Path("models/source/tiny/report.json").unlink()
    run(*REPORT)
    pages.append(section_of(PAGE, "result"))
    for section, noted in zip(pages, (warned, not warned), strict=True):
        note = section.find("than a guess without the photos:")
        assert (0 < note < section.index("accuracy, out of fold")) == noted
    assert "always saying the largest class: 12.34%" in pages[1]
    assert "guessing by the class shares: 0.1234" in pages[1]


def test_the_page_says_what_was_run_and_with_what_result(made):
    text, tiny = text_of(PAGE), metrics_of("tiny")
    assert f"{tiny['accuracy']:.2%}" in text
    assert f"{tiny['log_loss']:.4f}" in text
    assert "Submission 17: public score 0.4321: outside the expected 95% interval, 0.0190" in text
    assert "Don't publish this page" in text
    assert "32 px, block5_pool, avgmax" in text
    for name in HOSTILE:
        assert legible(name) in text
    side_by_side, _, the_ledger = section_of(PAGE, "recipes").partition("</table>")
    names = re.findall(r'<th scope="row">(.*?)</th>', side_by_side)
    recipes = ["other", "tiny", "tiny+other"]
    recipes.sort(key=lambda name: metrics_of(name)["log_loss"])
    assert names == [*recipes, "largest class", "class shares"]
    assert re.search(
        r'<th scope="row">tiny</th>\s*<td data-name="time">2026-11-20 10:00</td>', the_ledger
    )
    assert re.findall(r'<tr class="strong">\s*<th [^>]*>(.*?)<', side_by_side) == ["tiny"]
    assert plots_of(PAGE) == [
        "Learning curves: log loss by epoch, a line for each head",
        "Learning curves: accuracy by epoch, a line for each head",
        "Histogram of the p of the true class, by class",
        "Reliability: p of the predicted class against the share of correct predictions",
        "Out-of-fold log loss as a function of the clip",
        "Histograms of the photos' widths and heights",
        "Log loss against CPU time a photo, a point for each recipe",
        "The ledger: expected intervals, out-of-fold metrics and scores, a row for each submission",
    ]
    assert "not measured" not in text
    assert re.search(r">[\d,.]+ ms</td>\s*<td [^>]*>yes</td>", side_by_side)
    n = tiny["n"]
    predictions = out_of_fold.read(Path("models/source/tiny"))
    wrong = int((predictions.probabilities.argmax(axis=1) != predictions.labels).sum())
    be = "photo is" if wrong == 1 else "photos are"
    assert f"{wrong} {be} predicted as another class out of fold" in text
    assert re.search(r"labelled .*?, predicted .*? \(\d+\.\d%\)", text)
    assert (
        "Confusion matrix Photos by true class, a row each, and predicted class, a column" in text
    )
    assert f"{n} out of fold" in text
    # Each photo that is shown has its heat map.
    source, shown = PAGE.read_text(encoding="utf-8"), mistakes.SHOWN
    assert source.count('alt="heat map of') == min(wrong, shown) + min(n - min(wrong, shown), shown)


def test_the_page_is_one_file_that_runs_one_script_and_escapes_every_name(made):
    source = PAGE.read_text(encoding="utf-8")
    assert not re.search(r'(?:src|srcset|href)="(?!data:|#|\.\./index\.html")', source)
    assert "<b onclick" not in source
    (script,) = re.findall(r"<script>(.*?)</script>", source, re.S)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="(.*?)">', source)
    assert html.unescape(policy).endswith(f"script-src 'sha256-{digest}'"), "and no other"
    assert source.count("<script") == 1
    assert "&lt;b onclick" in source


def test_a_page_that_is_up_to_date_is_left_alone_by_the_standard_library(made):
    before = PAGE.stat().st_mtime_ns
    (made / "blocker").mkdir()
    for name in "numpy", "pandas", "keras", "matplotlib", "jinja2", "PIL", "cleanlab":
        (made / "blocker" / f"{name}.py").write_text("raise SystemExit('imported ' + __name__)")
    path = f"{made / 'blocker'}{os.pathsep}{PROJECT / 'src'}"
    again = command(*REPORT, PYTHONPATH=path)
    assert "up to date" in again.stdout, again.stdout + again.stderr
    assert PAGE.stat().st_mtime_ns == before


def test_the_same_inputs_give_the_same_bytes_and_a_new_ledger_line_makes_it_stale(made, run):
    first = PAGE.read_bytes()
    PAGE.unlink()
    printed = run(*REPORT)
    assert str(PAGE) in printed
    assert "up to date" not in printed
    assert PAGE.read_bytes() == first
    assert fresh()
    # So does another recipe's time, which is in the drawing of the frontier.
    spent = WORKSPACE.model("other") / timings.NAME
    before = spent.read_bytes()
    timings.add(spent.parent, 1.0, {timings.PREDICTED: 4}, cpu=9.0)
    assert not fresh()
    spent.write_bytes(before)
    assert fresh()
    ledger.put(LedgerLine(time="2026-11-21T10:00:00Z", sha256="b", dataset="source"))
    assert not fresh()


def test_code_of_the_page_makes_the_page_stale_and_nothing_else(made, tmp_path, monkeypatch):
    """A plot's colour, the template and the style do; a docstring does not."""
    folder = Path(shutil.copytree(page.HERE, tmp_path / "report"))
    monkeypatch.setattr(report, "__path__", [str(folder)])
    monkeypatch.setattr(template, "FOLDER", folder)
    monkeypatch.setattr(code_keys, "_module_key", code_keys._module_key.__wrapped__)  # no cache
    tiny = recipe_files.read("tiny.toml")
    assert fresh()
    for name, old, new, stays in (
        ("plots.py", "#0072b2", "#0072b3", False),
        ("plots.py", '"""Plots of', '"""Pictures of', True),
        ("report.html", "Most uncertain", "Least certain", False),
        ("style.css", "--ink: #1b1f24", "--ink: #1b1f25", False),
    ):
        original = (folder / name).read_text()
        assert old in original
        (folder / name).write_text(original.replace(old, new))
        assert bool(fresh()) == stays
        assert training.fresh(WORKSPACE, tiny, keras())
        (folder / name).write_text(original)


def test_a_new_metric_is_on_the_page_and_trains_nothing(made, run, monkeypatch, without_plots):
    def brier(labels, probabilities, groups) -> Estimate:
        squares = ((probabilities - np.eye(3)[labels]) ** 2).sum(axis=1)
        return Estimate(float(squares.mean()), metrics.group_error(squares, groups), ".5f")

    stamp, tiny = Path("models/source/tiny/stamp.json"), recipe_files.read("tiny.toml")
    before = stamp.read_bytes()
    predictions = out_of_fold.read(stamp.parent)
    value = brier(predictions.labels, predictions.probabilities, predictions.groups).value
    monkeypatch.setitem(metrics.REPORTED, "Brier score", brier)
    PAGE.unlink()
    run(*REPORT)
    assert f"Brier score, out of fold {value:.5f} 95%: " in text_of(PAGE)
    assert stamp.read_bytes() == before
    assert training.fresh(WORKSPACE, tiny, keras())
    # The code of metrics decides pages and no heads.
    assert "modeling.metrics" in page.CODE
    assert "modeling.metrics" not in training.CODE


def test_a_blend_is_reported_with_the_heat_maps_of_its_heaviest_member(made, run, without_plots):
    run("report", "--recipe", BLEND)
    text = text_of(Path("reports/source/tiny+other.html"))
    weights = {member["name"]: member["weight"] for member in metrics_of("tiny+other")["members"]}
    heaviest = max(weights, key=weights.get)
    assert f"The heat maps are those of {heaviest} , the member with the largest weight" in text
    assert "A blend has no heads of its own" in text
    assert "network of tiny" in text
    assert "heads of other" in text
    # A member that is trained again makes the blend and its report stale.
    stamp = Path("models/source/other/stamp.json")
    stamp.write_text(stamp.read_text() + "\n")
    printed = run("report", "--recipe", BLEND)
    assert "weights of 2 members in" in printed
    assert "written in" in printed


def test_photos_that_are_gone_or_changed_leave_a_tile_with_the_reason(made, run, without_plots):
    shutil.rmtree("source")
    for name in HOSTILE:
        write(made / "source" / name / "3.jpg", 5)
    PAGE.unlink()
    assert "written" in run(*REPORT)
    source = PAGE.read_text(encoding="utf-8")
    assert "no picture: No such file or directory" in source
    assert "no picture: the file has changed since the table of photos was made" in source
    assert 'alt="heat map of' not in source
    assert not fresh(), "they may come back"


def test_stale_recipes_and_those_of_other_groups_are_named_and_broken_ones_left_out(
    made, run, without_plots
):
    folder = Path("models/source/other")
    table = pd.read_csv(folder / "out-of-fold.csv", encoding_errors="surrogateescape")
    table.loc[1, "group"] = table.loc[0, "group"]
    text = table.to_csv(index=False)
    (folder / "out-of-fold.csv").write_text(text, errors="surrogateescape")
    stamp = json.loads((folder / "stamp.json").read_text())
    stamp["inputs"]["photos"] = "another table"
    (folder / "stamp.json").write_text(json.dumps(stamp))
    Path("models/source/tiny+other/stamp.json").write_text("{")
    run(*REPORT)
    text = text_of(PAGE)
    assert "is paired by photo. Not ranked: other (stale: photos changed): make train" in text
    assert "tiny+other" in text
    side_by_side, *_ = section_of(PAGE, "recipes").partition("</table>")
    assert re.findall(r'<th scope="row">(.*?)</th>', side_by_side)[:-2] == ["tiny"]
    assert "Scores of this recipe's submissions" in text


def test_verdicts_are_listed_with_their_effect(made, run, without_plots):
    before = out_of_fold.read(Path("models/source/tiny"))
    of_label = before.raw[np.arange(len(before.ids)), before.labels]
    order = [before.ids[row] for row in np.argsort(of_label)]
    photo = next(photo for photo in order if legible(photo) == photo)
    for verdict in "keep", "drop":
        with Path("data/source/verdicts.csv").open("w", newline="") as file:
            csv.writer(file).writerows([verdicts.COLUMNS, [photo, verdict, "<u>neither</u>"]])
        trained = run("train", "--recipe", "tiny.toml")
        assert ("up to date" in trained) == (verdict == "keep")
        run(*REPORT)
        text = text_of(PAGE)
        assert ("They change nothing" in text) == (verdict == "keep")
    assert f"{photo} drop <u>neither</u>" in text
    assert f"those whose label you left {len(before.ids) - 1}" in text
    # The next label issue takes its place, in the text to copy too.
    ranked = label_issues.ranked(WORKSPACE, "tiny", keras())
    listed = [x for x in ranked if x.id != photo and x.reason != AGREES][: issues_section.SHOWN]
    assert 10 < len(listed) <= 30
    shown = re.findall(r"<b>\d+\. (.*?)</b>", section_of(PAGE, "label-issues"))
    assert [html.unescape(name) for name in shown] == [legible(issue.id) for issue in listed]
    (copied,) = re.findall(r"<pre[^>]*>(.*?)</pre>", section_of(PAGE, "verdicts"), flags=re.S)
    rows = list(csv.reader(html.unescape(copied).splitlines()))[1:]
    assert rows[0] == [photo, "drop", "<u>neither</u>"]
    assert rows[1:] == [
        [issue.id, "keep", issue.why]
        for issue in listed
        if legible(issue.id + issue.why) == issue.id + issue.why
    ]
    # The other recipe, and the blend of both, were trained without it.
    stale = "ot ranked: other (stale: verdicts changed): make train RECIPE=other.toml"
    assert stale in text
    assert stale in run("compare")
