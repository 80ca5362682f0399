"""Verdicts are given on the page itself: buttons under the label issues, and a file to download."""

import csv
import io
from pathlib import Path

import pytest

from dogs_vs_cats.data import photos, verdicts
from dogs_vs_cats.report.sections import label_issues
from dogs_vs_cats.workspace import Workspace
from support.axe import violations
from support.report_pages import HOSTILE, PAGE

PLACE = Workspace("source")
ODD = HOSTILE[1]  # a class with quotes and blanks


def groups(page) -> dict:
    """Return photo -> its buttons."""
    found = page.locator("[data-photo]")
    return {x.get_attribute("data-photo"): x for x in found.all()}


def downloaded(page, tmp_path: Path) -> bytes:
    with page.expect_download() as download:
        page.get_by_role("button", name="Download verdicts.csv").click()
    assert download.value.suggested_filename == "verdicts.csv"
    download.value.save_as(tmp_path / "verdicts.csv")
    return (tmp_path / "verdicts.csv").read_bytes()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_buttons_add_rows_to_the_users_file_which_is_downloaded(
    made, run, without_plots, browser, tmp_path, width, scheme
):
    table = photos.train(photos.read(PLACE))
    first = table[table["label"] == ODD]["id"].iloc[0]
    own = (
        f'\ufeffphoto,verdict,why\r\n"{first.replace(chr(34), chr(34) * 2)}",keep,"my ""own"" word"'
    )
    PLACE.verdicts.write_bytes(own.encode())
    run("report", "--recipe", "tiny.toml")
    context = browser.new_context(
        viewport={"width": width, "height": 844}, color_scheme=scheme, offline=True
    )
    page = context.new_page()
    complaints = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(PAGE.resolve().as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(folded => folded.open = true)")
    buttons = groups(page)
    assert len(buttons) > 5
    assert first not in buttons, "it has a verdict"
    assert all(photo.isprintable() for photo in buttons)
    status = page.locator("#download [role=status]")
    assert status.inner_text() == f"0 of {len(buttons)} decided on this page."
    kept, dropped, changed, undone, *_ = [x for x in buttons if not x.startswith(ODD)]
    for photo, verdict in (kept, "keep"), (dropped, "keep"), (dropped, "drop"), (undone, "drop"):
        buttons[photo].get_by_role("button", name=verdict, exact=True).click()
    buttons[undone].get_by_role("button", name="drop").click()
    buttons[changed].get_by_role("button", name=ODD).focus()
    page.keyboard.press("Enter")
    pressed = page.locator("[data-photo] button[aria-pressed=true]")
    assert sorted(pressed.all_inner_texts()) == sorted(["keep", "drop", f"it is {ODD}"])
    assert status.inner_text() == f"3 of {len(buttons)} decided on this page, not downloaded yet."
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    data = downloaded(page, tmp_path)
    assert data.startswith((own + "\r\n").encode()), "what the user wrote is there, byte for byte"
    assert page.inner_text("#verdicts-text").count(",") >= 8
    assert status.inner_text() == f"3 of {len(buttons)} decided on this page."
    assert complaints == []
    context.close()
    # The file is one that training takes.
    PLACE.verdicts.write_bytes(data)
    decided = verdicts.read(PLACE, photos.read(PLACE), photos.read_classes(PLACE))
    assert {photo: x.verdict for photo, x in decided.items()} == {
        first: "keep",
        kept: "keep",
        dropped: "drop",
        changed: ODD,
    }
    assert decided[first].why == 'my "own" word'


def test_without_a_script_the_text_can_be_copied(made, browser):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(PAGE.resolve().as_uri())
    assert page.locator("[data-photo]:visible").count() == 0
    assert not page.get_by_role("button", name="Download verdicts.csv").is_visible()
    text = page.inner_text("#verdicts-text")
    rows = list(csv.reader(io.StringIO(text)))
    assert rows[0] == ["photo", "verdict", "why"]
    assert 0 < sum(row[1] == "keep" for row in rows) < 30  # ids that are not UTF-8 are left out
    assert page.locator("noscript p").is_visible()
    context.close()


def test_of_many_classes_the_rest_is_a_list_and_nothing_is_lost_on_leaving(
    made, run, without_plots, browser, monkeypatch
):
    many = ["keep", "drop", *(f"class {n}" for n in range(20))]
    monkeypatch.setattr(label_issues, "choices", lambda issue, classes: many)
    PLACE.verdicts.write_text("photo,verdict,why\n")  # so that the page is drawn again
    run("report", "--recipe", "tiny.toml")
    page = browser.new_page()
    page.goto(PAGE.resolve().as_uri())
    group = next(iter(groups(page).values()))
    assert group.get_by_role("button").count() == 6
    group.get_by_role("combobox").select_option("class 17")
    assert ",class 17," in page.inner_text("#verdicts-text")
    group.get_by_role("button", name="drop").click()
    assert group.get_by_role("combobox").input_value() == ""
    assert ",drop," in page.inner_text("#verdicts-text")
    assert ",class 17," not in page.inner_text("#verdicts-text")
    asked = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    page.goto("about:blank")
    page.close()
    assert asked == ["beforeunload"]
