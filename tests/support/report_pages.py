"""A workspace with a drawn report, and how tests read a page."""

import contextlib
import html
import os
import re
from pathlib import Path

from dogs_vs_cats.features import timings
from dogs_vs_cats.kaggle import ledger
from dogs_vs_cats.kaggle.ledger import LedgerLine
from dogs_vs_cats.workspace import Workspace
from support.commands import LOGISTIC, TINY, run_all
from support.pictures import write

# Names that would end a tag, an attribute, a formula, a legend; and a byte that is not UTF-8.
HOSTILE = ['<b onclick="x">cat', 'dog\'s "x" & $\\frac', os.fsdecode(b"_bird\xff")]
BLEND = "tiny.toml other.toml"
PAGE = Path("reports/source/tiny.html")


def report_workspace(folder: Path) -> None:
    """Train two recipes and their blend on three classes; draw the page of tiny."""
    for number, name in enumerate(HOSTILE):
        for photo in range(12):
            write(folder / "source" / name / f"{photo}.jpg", 100 * number + photo)
    (folder / "tiny.toml").write_text(TINY)
    (folder / "other.toml").write_text(LOGISTIC)
    run_all(
        folder,
        ("data", "--source", "source"),
        ("features", "--recipe", BLEND),
        ("train", "--recipe", BLEND),
    )
    line = LedgerLine(
        **{"time": "2026-11-20T10:00:00Z", "sha256": "a", "dataset": "source", "recipe": "tiny"},
        **{"oof_log_loss": "0.5", "competition": "some", "ref": "17", "status": "COMPLETE"},
        **{"public_score": "0.4321", "private_score": "0.1234"},
        **{"expected_metric": "log_loss", "public_low": "0.019", "public_high": "0.293"},
    )
    with contextlib.chdir(folder):
        ledger.put(line)
        # As if their test photos had been predicted: the page shows what that takes.
        for name in "tiny", "other":
            timings.add(Workspace("source").model(name), 1.0, {timings.PREDICTED: 4}, cpu=0.5)
    run_all(folder, ("report", "--recipe", "tiny.toml"))


def text_of(page: Path) -> str:
    """Return a page's words, as a reader sees them."""
    source = page.read_text(encoding="utf-8")
    words = re.sub(r"<(style|script)>.*?</\1>|<svg .*?</svg>|<[^>]*>", " ", source, flags=re.S)
    return " ".join(html.unescape(words).split())


def section_of(page: Path, name: str) -> str:
    """Return the HTML of a page's section."""
    pattern = rf'<section id="{name}">(.*?)</section>'
    (section,) = re.findall(pattern, page.read_text(encoding="utf-8"), flags=re.S)
    return section


def plots_of(page: Path) -> list[str]:
    """Return the descriptions of a page's plots."""
    source = page.read_text(encoding="utf-8")
    figures = re.findall(r"<figure>.*?</figure>", source, flags=re.S)
    return [
        html.unescape(re.search(r'<svg [^>]*aria-label="(.*?)"', figure)[1]) for figure in figures
    ]
