"""The page in a browser: whole, in light and dark, on a phone and on paper, without a network."""

import re

import pytest

from support.axe import violations
from support.report_pages import HOSTILE, PAGE


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
    selected = page.evaluate("getSelection().toString()")
    assert selected.startswith("photo,verdict,why\n")
    assert 5 < selected.count(",keep,") < 30  # ids that are not UTF-8 are left out
    # On paper it is light, and the navigation is gone.
    page.emulate_media(media="print", color_scheme=scheme)
    assert not page.get_by_role("navigation").is_visible()
    light = page.locator("figure img").first.get_attribute("src")
    assert page.evaluate("document.querySelector('figure img').currentSrc") == light
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
