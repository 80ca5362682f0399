"""The page in a browser: whole, in light and dark, on a phone and on paper, without a network."""

import re

import pandas as pd
import pytest

from dogs_vs_cats.report import plots
from support.axe import violations
from support.report_pages import HOSTILE, PAGE


def rgb(colour: str) -> str:
    """Return `#rrggbb` as the browser says it."""
    return f"rgb{tuple(bytes.fromhex(colour[1:]))}"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_shows_the_whole_page_without_a_network(made, browser, width, scheme):
    context = browser.new_context(
        viewport={"width": width, "height": 844}, color_scheme=scheme, offline=True
    )
    page = context.new_page()
    complaints, requests, dialogs = [], [], []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(PAGE.resolve().as_uri())
    assert page.title() == "source, tiny: report"
    # Every picture is loaded, and plots have the colours of the scheme.
    assert page.locator("img").count() > 20
    assert page.evaluate("[...document.images].every(x => x.complete && x.naturalWidth > 0)")
    ink_of_plots = "getComputedStyle(document.querySelector('figure svg text')).fill"
    assert page.evaluate(ink_of_plots) == rgb((plots.LIGHT if scheme == "light" else plots.DARK)[0])
    ink, paper = page.evaluate(
        "(s => [s.color, s.backgroundColor])(getComputedStyle(document.body))"
    )
    bright = [sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in (ink, paper)]
    assert (bright[0] < bright[1]) == (scheme == "light")
    # Folded parts open, links scroll to their sections, and nothing is wider than the window.
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
    assert page.evaluate("getSelection().toString()").strip() == "photo,verdict,why"
    # On paper it is light, and the navigation is gone.
    page.emulate_media(media="print", color_scheme=scheme)
    assert not page.get_by_role("navigation").is_visible()
    assert page.evaluate(ink_of_plots) == rgb(plots.LIGHT[0])
    assert page.pdf(format="A4").startswith(b"%PDF")
    assert complaints == []
    assert dialogs == []
    assert [url for url in requests if not url.startswith("data:")] == [PAGE.resolve().as_uri()]
    context.close()


def test_axe_names_the_rule_and_the_element(browser):
    page = browser.new_page()
    page.set_content("<html lang=en><title>a</title><main><h1>a</h1><img src='data:,'></main>")
    (found,) = violations(page)
    assert found.startswith("image-alt: img: ")
    page.set_content("<html lang=en><title>a</title><main><h1>a</h1></main>")
    assert violations(page) == []
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing(made, browser, width, scheme):
    page = browser.new_page(viewport={"width": width, "height": 844}, color_scheme=scheme)
    page.goto(PAGE.resolve().as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(folded => folded.open = true)")
    assert violations(page) == []
    assert page.locator("table").count() > 5
    assert page.locator("table:not(:has(caption)), th:not([scope])").count() == 0
    page.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_a_click_or_enter_opens_a_photo_large_with_its_heat_map_on_or_off(made, browser, width):
    page = browser.new_page(viewport={"width": width, "height": 844})
    page.goto(PAGE.resolve().as_uri())
    shots = page.locator("#uncertain1")
    photo, heat = shots.locator("img").all()
    page.get_by_label("Heat maps", exact=True).uncheck()
    assert not heat.is_visible()
    page.get_by_label("Heat maps", exact=True).check()
    small = photo.bounding_box()
    assert heat.bounding_box() == small
    opener = page.locator("[popovertarget=uncertain1]").first
    opener.focus()
    for leave in "Escape", "Enter":
        page.keyboard.press("Enter")
        large = photo.bounding_box()
        assert large["height"] > 3 * small["height"]
        assert shots.get_by_role("button", name="Close").bounding_box()["height"] < 50  # in a line
        assert heat.bounding_box() == large
        assert shots.get_by_text("labelled").is_visible()
        assert violations(page) == []
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        for on in False, True:
            page.keyboard.press("Space")
            assert heat.is_visible() == on
        page.keyboard.press("Shift+Tab")  # to the button Close
        page.keyboard.press(leave)
        assert photo.bounding_box()["height"] == small["height"]
        assert opener.evaluate("opener => opener === document.activeElement")
    opener.click()
    assert photo.bounding_box() == large
    page.mouse.click(5, 5)
    assert photo.bounding_box()["height"] == small["height"]
    page.close()


def test_the_pointer_shows_the_fold_and_the_value_of_a_learning_curve(made, browser):
    history = pd.read_csv("models/source/tiny/history.csv")
    page = browser.new_page(viewport={"width": 1280, "height": 844})
    page.goto(PAGE.resolve().as_uri())
    loss, accuracy = page.locator("#learning figure svg").all()
    assert loss.locator("text", has_text="fold ").all_text_contents() == sorted(
        f"fold {fold}" for fold in history["fold"].unique()
    )
    row = history.iloc[0]
    for plot, name, label in (loss, "loss", "log loss"), (accuracy, "accuracy", "accuracy"):
        assert plot.locator("circle").count() == 2 * len(history)
        words = f"fold {row['fold']:.0f}, held out, epoch 1: {label} {row[f'val_{name}']:.4g}"
        (circle,) = plot.locator("circle", has=page.get_by_text(words, exact=True)).all()
        # It lies on the line: no plot has another scale than its values.
        circle.scroll_into_view_if_needed()
        box = circle.bounding_box()
        found = page.evaluate(
            "([x, y]) => document.elementsFromPoint(x, y).map(e => e.textContent)",
            [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2],
        )
        assert words in found
    page.close()


TABLES = """tables => tables.flatMap(table => {
  const outer = table.parentElement.getBoundingClientRect();
  return [table, ...table.querySelectorAll("th, td")].filter(cell => {
    const box = cell.getBoundingClientRect(), shown = box.width > 1 && box.height > 1;
    return shown && (box.right > outer.right + 1 || cell.scrollWidth > cell.clientWidth + 1);
  }).map(cell => cell.textContent.trim().slice(0, 80));
})"""
SCROLLED = """() => [...document.body.querySelectorAll("*")].filter(box =>
  getComputedStyle(box).overflow !== "visible" && box.clientHeight > 1 &&
  (box.scrollWidth > box.clientWidth + 1 || box.scrollHeight > box.clientHeight + 1)
).map(box => box.tagName + "." + box.className)"""
UNBREAKABLE = """() => [...document.body.querySelectorAll("*")].filter(
  box => getComputedStyle(box).breakInside === "avoid").map(box => box.offsetHeight)"""
PAPER = 703, 1032  # pixels of A4 within the margins


@pytest.mark.parametrize(
    ("media", "width"),
    [*(("screen", width) for width in (390, 700, 1000, 1280)), ("print", PAPER[0])],
)
def test_tables_lose_nothing_on_any_screen_or_on_paper(made, browser, media, width):
    page = browser.new_page(viewport={"width": width, "height": 844})
    page.goto(PAGE.resolve().as_uri())
    page.emulate_media(media=media)
    page.evaluate("document.querySelectorAll('details').forEach(folded => folded.open = true)")
    assert page.locator("table").count() > 5
    assert page.locator("table").evaluate_all(TABLES) == []
    private = page.locator("#result td", has_text="0.1234")
    box = private.bounding_box()
    assert 0 <= box["x"] < box["x"] + box["width"] <= width
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    if width == 390:
        # Each row is a card that names its columns.
        name = "getComputedStyle(document.querySelector('#result td'), '::before').content"
        assert page.evaluate(name) == '"made"'
    if media == "print":
        page.evaluate(
            "(text => text.textContent = text.textContent.repeat(9))(document.querySelector('pre'))"
        )
        assert page.evaluate(SCROLLED) == []
        # What does not fit goes to the next page: it leaves less than a third empty.
        heights = page.evaluate(UNBREAKABLE)
        assert len(heights) > 20
        assert max(heights) < PAPER[1] / 3
    page.close()
