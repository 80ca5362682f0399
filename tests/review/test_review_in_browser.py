"""make review in a browser: ten flipped labels are decided from first to last, by keys and taps."""

import csv
import dataclasses
import re
from pathlib import Path

import pytest

from dogs_vs_cats.config import engines, recipe_files
from dogs_vs_cats.review import session
from dogs_vs_cats.workspace import Workspace
from support import axe
from support.prepared import copy_of, prepared
from support.report_pages import HOSTILE, report_workspace
from support.review_workspace import FLIPPED, TWIN, served

pytestmark = pytest.mark.extra("flask", "waitress")
VERDICTS = Path("data/source/verdicts.csv")


@pytest.fixture
def opened(browser):
    """Open a page of some width in light or dark; nothing may be complained of, or asked elsewhere.

    The browser itself logs each answer of 4xx and 5xx: those are a test's own affair.
    """
    contexts = []

    def opener(address: str, width: int, scheme: str):
        context = browser.new_context(
            viewport={"width": width, "height": 844}, color_scheme=scheme, has_touch=width < 600
        )
        page = context.new_page()
        contexts.append((context, page, complaints := [], address))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.on(
            "request",
            lambda request: request.url.startswith(address) or complaints.append(request.url),
        )
        page.goto(address)
        page.locator("#neighbours li").first.wait_for()
        return page

    yield opener
    for context, _, complaints, _ in contexts:
        context.close()
        assert complaints == []


def decisions() -> dict[str, str]:
    """Return photo -> verdict, as verdicts.csv has them now."""
    if not VERDICTS.exists():
        return {}
    return {photo: verdict for photo, verdict, _ in [*csv.reader(VERDICTS.open())][1:]}


def wait_for(page, photo: str) -> None:
    page.locator("#name", has_text=re.compile(f"^{re.escape(photo)}$")).wait_for()


def until(page, condition: str) -> None:
    """Wait until a JavaScript expression is true; wait_for_function needs eval, which is barred."""
    for _ in range(200):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"it never came true: {condition}")


def test_ten_flipped_labels_are_decided_by_keys_from_first_to_last(begin, opened, run):
    review = begin()
    photos = [x.issue.id for x in review.issues]
    with served(review) as address:
        page = opened(address, 1280, "light")
        assert page.inner_text("h1") == "Label issues of tiny, source"
        assert axe.violations(page) == []
        for number, photo in enumerate(photos):
            wait_for(page, photo)
            until(page, "document.getElementById('photo').naturalWidth === 96")
            assert page.get_attribute("#photo", "alt").startswith(f"{photo}, labelled ")
            assert page.inner_text("#count") == f"{number} of {len(photos)} decided"
            label = photo.partition(".")[0]
            assert page.inner_text("#labelled") == label
            if photo in FLIPPED:
                page.keyboard.press({"disc": "1", "square": "2"}[FLIPPED[photo]])
                said = f"{photo}: relabelled as {FLIPPED[photo]}."
            else:
                page.keyboard.press("k")
                said = f"{photo}: kept as {label}."
            page.locator("#state", has_text=said).wait_for()
            assert len(decisions()) == number + 1, "it is in the file at once"
        assert decisions() == {photo: FLIPPED.get(photo, "keep") for photo in photos}
        assert page.inner_text("#done-name") == "All label issues are decided"
        others = len(photos) - 10
        assert page.inner_text("#tally") == (
            f"{others} kept, 0 dropped, 10 relabelled; 0 undecided."
        )
        assert axe.violations(page) == []
        page.get_by_role("button", name="Undo the last one").click()
        wait_for(page, photos[-1])
        assert len(decisions()) == len(photos) - 1
        page.keyboard.press("k")
        page.locator("#done-name", has_text="All label issues are decided").wait_for()
        assert len(decisions()) == len(photos)
        # The end says what to run, and shows what came of it without being asked again.
        command = page.locator("#changes code")
        command.wait_for()
        assert command.inner_text() == "make train RECIPE=tiny.toml"
        run("train", "--recipe", "tiny.toml")
        change = page.locator("#changes li")
        change.first.wait_for(timeout=20_000)
        everything, left = change.all_inner_texts()
        figure = r"accuracy [\d.]+% before, [\d.]+% after \([+\u2212][\d.]+ ± [\d.]+ points\)"
        assert re.match(rf"All, 81 photos: {figure}; log loss ", everything)
        assert re.match(rf"Those whose label you left, 71 photos: {figure}; log loss ", left)
        assert axe.violations(page) == []


def test_on_a_phone_in_the_dark_taps_decide_and_undo(begin, opened):
    review = begin()
    first, second, *_ = [x.issue.id for x in review.issues]
    with served(review) as address:
        page = opened(address, 390, "dark")
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        assert axe.violations(page) == []
        for button in page.locator("#decide button:visible").all():
            box = button.bounding_box()
            assert box["height"] >= 44
            assert box["y"] + box["height"] <= 844, "it is in reach without scrolling"
        until(page, "[...document.images].every(x => x.naturalWidth > 0)")
        page.get_by_role("button", name="Drop").tap()
        wait_for(page, second)
        assert decisions() == {first: "drop"}
        page.locator("#duplicates", has_text=f"{first}labelled discyours: drop").wait_for()
        page.get_by_role("button", name="Undo").tap()
        wait_for(page, first)
        assert page.inner_text("#state") == (
            f"Undone. 0 of {len(review.issues)} decided. Now disc.3, labelled disc."
        )
        assert decisions() == {}
        page.get_by_role("button", name="Next").tap()
        wait_for(page, second)
        page.get_by_role("button", name="It is disc").tap()
        page.locator("#state", has_text="relabelled as disc").wait_for()
        assert decisions() == {second: "disc"}
        assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_the_photo_before_is_gone_until_the_next_one_has_come(begin, opened):
    review = begin()
    with served(review) as address:
        page, held = opened(address, 1280, "light"), []
        page.locator("#photo:not(.waiting)").wait_for()
        page.route("**/photo/large/*", lambda route: held.append(route))
        page.keyboard.press("ArrowRight")
        wait_for(page, review.issues[1].issue.id)
        assert not page.locator("#photo").is_visible()
        until(page, "true")  # lets the request through to `held`
        held.pop().continue_()
        page.locator("#photo").wait_for()


def test_filters_leave_those_of_a_class_a_reason_or_a_state(begin, opened):
    review = begin()
    discs = [x.issue.id for x in review.issues if x.issue.label == "disc"]
    with served(review) as address:
        page = opened(address, 1280, "dark")
        assert axe.violations(page) == []
        page.select_option("#label", "disc")
        assert page.inner_text("#position") == f"1 of {len(discs)} shown"
        page.select_option("#reason", "more evidence for another class")
        wait_for(page, discs[1])
        assert page.inner_text("#position") == f"1 of {len(discs) - 1} shown"
        page.click("#next")
        wait_for(page, discs[2])
        page.keyboard.press("ArrowRight")  # a select has the focus no more
        wait_for(page, discs[3])
        page.keyboard.press("ArrowLeft")
        wait_for(page, discs[2])
        page.keyboard.press("d")
        wait_for(page, discs[3])
        page.select_option("#show", "decided")
        wait_for(page, discs[2])
        assert page.inner_text("#decided").startswith("Your verdict: dropped. Remark: ")
        pressed = page.locator("#verdicts button[aria-pressed=true]")
        assert pressed.inner_text().startswith("Drop")
        page.select_option("#label", "square")
        assert page.inner_text("#done-name") == "The filters leave nothing to show"
        # With the keys switched off, a letter decides nothing.
        page.select_option("#show", "all")
        page.uncheck("#keys")
        page.keyboard.press("k")
        page.wait_for_timeout(300)
        assert sorted(decisions().values()) == ["drop"]
        page.check("#keys")
        page.keyboard.press("k")
        page.locator("#state", has_text="kept as square").wait_for()
        assert sorted(decisions().values()) == ["drop", "keep"]


def test_of_two_windows_the_older_one_is_refused_and_shows_what_the_other_did(begin, opened):
    review = begin()
    first, second, third, *_ = [x.issue.id for x in review.issues]
    with served(review) as address:
        one, two = opened(address, 1280, "light"), opened(address, 1280, "light")
        one.keyboard.press("d")
        wait_for(one, second)
        two.keyboard.press("k")
        two.locator("#state.bad", has_text="was changed meanwhile").wait_for()
        assert decisions() == {first: "drop"}
        assert two.inner_text("#name") == first
        two.locator("#decided", has_text="Your verdict: dropped.").wait_for()
        two.keyboard.press("k")
        wait_for(two, second)
        assert decisions() == {first: "keep"}
        # By hand, too; and a decision follows on what was written by hand.
        VERDICTS.write_text(f"photo,verdict,why\n{third},drop,by hand\n")
        one.keyboard.press("k")
        one.locator("#state.bad", has_text="was changed meanwhile").wait_for()
        until(one, "!busy")
        one.keyboard.press("k")
        one.locator("#state", has_text=f"{second}: kept").wait_for()
        assert VERDICTS.read_text().startswith(
            f"photo,verdict,why\n{third},drop,by hand\n{second},"
        )


def test_the_focus_stays_where_a_reader_of_the_screen_left_it(begin, opened):
    review = begin()
    second = review.issues[1].issue.id
    with served(review) as address:
        page = opened(address, 1280, "light")
        page.get_by_role("button", name="Drop").focus()
        page.keyboard.press("Enter")
        wait_for(page, second)
        until(page, "document.activeElement.dataset.verdict === 'drop'")
        page.get_by_role("button", name="It is disc").focus()
        page.keyboard.press("Space")
        wait_for(page, review.issues[2].issue.id)
        # The next one has no such button: its heading is read.
        until(page, "document.activeElement.matches('#name, #verdicts button')")
        assert page.get_attribute("#state", "role") == "status"


def test_a_photo_that_is_gone_is_said_and_can_still_be_decided(begin, opened):
    Path("source/train/disc.3.jpg").unlink()
    review = begin()
    with served(review) as address:
        page = opened(address, 1280, "light")
        gone = page.locator("#gone")
        gone.wait_for()
        assert gone.inner_text() == "This photo can't be shown: No such file or directory."
        page.keyboard.press("d")
        wait_for(page, TWIN)
        assert decisions() == {"disc.3": "drop"}


def test_of_more_than_nine_classes_digits_give_the_likeliest_and_a_list_the_rest(begin, opened):
    review = begin()
    classes = [*review.classes, *(f"class {n}" for n in range(12))]
    likeliest = ["square", "class 11", "class 3", *classes[2:5], *classes[6:13], "disc"]
    first, second, *_ = issues = [
        dataclasses.replace(x, classes=likeliest) for x in review.issues if x.issue.label == "disc"
    ]
    with served(dataclasses.replace(review, classes=classes, issues=issues)) as address:
        page = opened(address, 1280, "light")
        assert page.locator("#verdicts button").count() == 2 + 9
        page.keyboard.press("2")
        wait_for(page, second.issue.id)
        assert axe.violations(page) == []
        page.select_option("#other", "class 10")
        assert list(decisions()) == [first.issue.id], "choosing alone decides nothing"
        page.get_by_role("button", name="Set it").click()
        page.locator("#state", has_text="relabelled as class 10").wait_for()
        assert decisions() == {first.issue.id: "class 11", second.issue.id: "class 10"}


def test_without_an_issue_it_says_so_and_a_failure_to_read_heads_is_tried_again(
    begin, browser, monkeypatch
):
    review = dataclasses.replace(begin(), issues=[])
    honest = review.effects
    answers = [FileNotFoundError(2, "No such file or directory", "models/source/tiny"), honest()]

    def effects() -> dict:
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    monkeypatch.setattr(review, "effects", effects)
    with served(review) as address:
        page = browser.new_page()
        page.clock.install()
        page.goto(address)
        page.locator("#done-name", has_text="There are no label issues").wait_for()
        page.locator("#changes .bad", has_text="Can't use models/source/tiny").wait_for()
        assert axe.violations(page) == []
        page.clock.run_for(5000)
        page.locator("#changes", has_text="You have given no verdicts yet.").wait_for()
        page.close()


def test_names_that_would_end_a_tag_are_text_and_one_that_is_not_utf_8_is_refused(here, opened):
    copy_of(prepared("report", report_workspace), here)
    recipe = recipe_files.read("tiny.toml")
    review = session.load(
        Workspace("source"), recipe, engines.choose("keras", "auto"), "make train RECIPE=tiny.toml"
    )
    assert review.issues
    with served(review) as address:
        page = opened(address, 390, "light")
        assert axe.violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        for number, name in enumerate(review.classes, 1):
            page.select_option("#label", next(x for x in HOSTILE[:2] if x != name))
            photo = page.inner_text("#name")
            page.focus("#name")
            page.keyboard.press(str(number))
            if name == HOSTILE[2]:
                page.locator("#state.bad", has_text="is not UTF-8").wait_for()
                assert photo not in decisions()
            else:
                page.locator("#state", has_text=f"{photo}: relabelled as {name}.").wait_for()
                assert decisions()[photo] == name
