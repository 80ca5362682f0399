"""The index in a browser: two chosen recipes, light and dark, on a phone, by keyboard, on paper."""

import contextlib
import re
from pathlib import Path

import numpy as np
import pytest

from dogs_vs_cats.kaggle import ledger
from dogs_vs_cats.kaggle.ledger import LedgerLine
from dogs_vs_cats.report.index import differences, stage
from dogs_vs_cats.workspace import Workspace
from support.axe import violations
from support.commands import TINY
from support.index_pages import INDEX, write_dataset, write_recipe, wrong

PLACE = Workspace("pets")
HOSTILE = ["</script><img src=x onerror=alert(1)>", '<b onclick="x">"&\\u2028']


def luck(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).beta(3, 1, 60).clip(0.01, 0.99)


@pytest.fixture(scope="module")
def prepared_index(tmp_path_factory):
    """A folder with the index of three datasets: recipes, a stale one, a submission, and names
    that would end a tag. Never change it.
    """
    folder = tmp_path_factory.mktemp("index")
    with contextlib.chdir(folder):
        write_index()
    return folder


def write_index() -> None:
    Path("tiny.toml").write_text(TINY)
    write_dataset("pets", {name: luck(seed) for seed, name in enumerate(("one", "two", "three"))})
    write_recipe(PLACE, "stale", luck(4), photos="another digest")
    write_dataset("hostile", {"a": luck(5), "b": luck(6)}, HOSTILE)
    write_dataset("empty", {})
    line = LedgerLine(
        **{"time": "2026-11-20T10:00:00Z", "sha256": "a", "dataset": "pets", "recipe": "one"},
        **{"oof_log_loss": "0.5", "competition": "some", "public_score": "0.4321"},
    )
    ledger.put(line)
    stage.build()


@pytest.fixture(params=[(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")], ids=str)
def opened(prepared_index, monkeypatch, browser, request):
    """The index in a window of a size and colour scheme, without a network; no complaint at all."""
    monkeypatch.chdir(prepared_index)
    width, scheme = request.param
    context = browser.new_context(
        viewport={"width": width, "height": 844}, color_scheme=scheme, offline=True
    )
    page = context.new_page()
    complaints, requests = [], []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append(dialog.message))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(INDEX.resolve().as_uri())
    yield page
    assert complaints == []
    assert [url for url in requests if not url.startswith("data:")] == [INDEX.resolve().as_uri()]
    context.close()


def photos(part, index: int) -> set[str]:
    """Return the ids in one of the two lists of photos."""
    return set(part.locator("ul").nth(index).locator("b").all_inner_texts())


def test_two_chosen_recipes_show_the_photos_that_one_gets_right(opened):
    part = opened.locator("#dataset-pets .pair")
    one, other = part.get_by_label("one recipe"), part.get_by_label("another")
    for left, right in ("three", "one"), ("two", "three"), ("one", "two"):
        one.select_option(left)
        other.select_option(right)
        of_left, of_right = wrong(PLACE, left), wrong(PLACE, right)
        assert photos(part, 0) == of_right - of_left
        assert photos(part, 1) == of_left - of_right
        count = len(of_right - of_left)
        heading = part.get_by_role("heading").first.inner_text()
        assert heading == f"{left} is right, {right} wrong: {count} photo{'s' * (count != 1)}"
        both = 60 - len(of_left | of_right)
        said = part.get_by_role("status").inner_text()
        assert said.startswith(f"Of 60 photos, {left} and {right} both get {both} right and ")
        assert said.endswith(f"they differ on {len(of_left ^ of_right)}.")
        assert part.get_by_text("Shown:").count() == 0  # as all are
    card = part.get_by_role("listitem").first.inner_text()
    assert re.search(r"labelled (\w+)\s+one: \1 \(\d+\.\d%\)\s+two: (?!\1)\w+ \(\d+\.\d%\)", card)
    assert opened.evaluate("[...document.images].every(x => x.complete && x.naturalWidth > 0)")
    # The same recipe twice has no photos.
    other.select_option("one")
    assert part.get_by_role("status").inner_text() == "Choose two different recipes."
    assert not part.get_by_role("heading").first.is_visible()
    assert part.get_by_role("listitem").count() == 0


def test_stale_recipes_can_t_be_chosen_and_names_run_no_code(opened):
    part = opened.locator("#dataset-pets .pair")
    assert set(part.get_by_label("another").locator("option").all_inner_texts()) == {
        *("one", "two", "three")
    }
    other = opened.locator("#dataset-hostile .pair")
    assert f"labelled {HOSTILE[0]}" in other.inner_text()
    assert opened.locator("#dataset-hostile b[onclick]").count() == 0


def test_axe_finds_nothing_and_nothing_is_wider_than_the_window(opened):
    assert violations(opened) == []
    assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth")
    cut = "[...document.querySelectorAll('tbody *')].filter(x => x.scrollWidth > x.clientWidth + 1)"
    assert opened.evaluate(f"{cut}.map(x => x.textContent)") == []


def test_the_keyboard_is_enough(opened):
    part = opened.locator(".pair").first
    assert photos(part, 0) or photos(part, 1)
    for _ in range(20):
        opened.keyboard.press("Tab")
        if opened.evaluate("document.activeElement.tagName") == "SELECT":
            break
    opened.keyboard.press("ArrowDown")
    assert part.get_by_label("one recipe").input_value() == "1"
    assert part.get_by_role("status").inner_text() == "Choose two different recipes."
    opened.keyboard.press("Tab")
    opened.keyboard.press("ArrowUp")
    assert photos(part, 0) or photos(part, 1)


def test_it_prints_in_light_colours_with_the_chosen_recipes_and_all_photos(opened):
    part = opened.locator("#dataset-pets .pair")
    part.get_by_label("one recipe").select_option("three")
    opened.emulate_media(media="print")
    assert not opened.get_by_role("navigation").is_visible()
    assert not part.get_by_label("one recipe").is_visible()
    assert part.get_by_role("heading").first.inner_text().startswith("three is right, ")
    paper = opened.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == "rgb(255, 255, 255)"
    assert opened.pdf(format="A4").startswith(b"%PDF")


def test_it_says_how_many_photos_are_not_shown(here, browser, monkeypatch):
    monkeypatch.setattr(differences, "SHOWN", 5)
    write_dataset("pets", {"one": luck(1), "two": luck(2)})
    stage.build()
    page = browser.new_page()
    page.goto(INDEX.resolve().as_uri())
    part = page.locator(".pair")
    assert len(photos(part, 0)) + len(photos(part, 1)) == 5
    count = len(wrong(PLACE, "two") - wrong(PLACE, "one"))
    left = part.locator("select").first.evaluate("x => x.selectedOptions[0].text")
    index = 0 if left == "one" else 1
    shown = len(photos(part, index))
    assert part.get_by_text("Shown:").nth(index).inner_text() == f"Shown: {shown} of {count}."
    page.close()
