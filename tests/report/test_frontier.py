"""The drawing of the frontier: every recipe whose CPU time is known, by its name."""

import re

import pytest

from dogs_vs_cats.analysis.compare import ComparedRecipe
from dogs_vs_cats.analysis.costs import Cost, CpuTime
from dogs_vs_cats.modeling.results import Metrics
from dogs_vs_cats.report import frontier, plots
from dogs_vs_cats.workspace import Workspace

NONE = Cost(0, None)
PLACE = Workspace("d")


def compared(name: str, seconds: float | None, loss: float, best: bool) -> ComparedRecipe:
    metrics = Metrics(400, 0.99, 0.005, loss, loss / 5)
    cpu = CpuTime(seconds, () if seconds else ("heads",))
    return ComparedRecipe(name, metrics, None, None, cpu, best, NONE, NONE, None)


ROWS = [
    compared("sharp", 0.060, 0.015, True),
    compared("best", 2.100, 0.0310, False),
    compared("tuned", 2.150, 0.0315, False),
    compared("<light> & $\\x", 0.027, 0.032, True),
    compared("old", None, 0.040, False),
]


def names(text: str) -> list[str]:
    """Return the texts of a drawing that belong to no axis."""
    texts = re.findall(r"<text [^>]*>(.*?)</text>", text)
    axes = r"[\d.]+|CPU time a photo, in ms|log loss, ± one standard error"
    return [name for name in texts if not re.fullmatch(axes, name)]


def test_the_drawing_names_each_recipe_whose_cpu_time_is_known(here):
    path = frontier.write(PLACE, ROWS)
    assert str(path) == "reports/d/frontier.svg"
    text = path.read_text()
    assert names(text) == ["&lt;light&gt; &amp; $\\x", "sharp", "best", "tuned"]
    first = path.read_bytes()
    frontier.write(PLACE, ROWS[::-1])
    assert path.read_bytes() == first


def test_without_a_cpu_time_there_is_no_drawing(here):
    path = frontier.write(PLACE, ROWS)
    assert frontier.write(PLACE, ROWS[-1:]) is None
    assert not path.exists()
    assert frontier.plot(ROWS[-1:]) is None


def test_one_recipe_is_drawn_and_one_that_only_others_beat(here):
    assert frontier.plot(ROWS[:1]).svg.startswith("<svg ")
    assert frontier.plot(ROWS[1:2]).svg.startswith("<svg ")


def test_one_drawing_has_the_colours_of_light_and_dark_pages(here):
    text = frontier.write(PLACE, ROWS).read_text()
    (ink, _, light), (dark_ink, _, dark) = plots.LIGHT, plots.DARK
    style = re.search(r"@media screen and \(prefers-color-scheme: dark\) .*", text)[0]
    for number, (here_, there) in enumerate([(ink, dark_ink), *zip(light, dark, strict=True)]):
        assert there in style
        bare = re.findall(rf"(?<!, ){here_}", text)
        assert not bare, f"colour {number} would be the same on a dark page"


@pytest.mark.parametrize("near", [1.0, 1.02, 1.3])
def test_names_don_t_cover_each_other(here, near):
    import numpy as np
    from matplotlib.figure import Figure

    rows = [compared(f"recipe-{i}", 0.1 * near**i, 0.030 + 0.0001 * i, i == 0) for i in range(4)]
    figure = Figure(figsize=plots.SIZE, layout="constrained")
    axes = figure.subplots()
    frontier._draw(rows)(axes)
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in axes.texts]
    assert [text.get_text() for text in axes.texts] == [row.name for row in rows]
    covered = [[frontier._overlap(one, two) for two in boxes] for one in boxes]
    assert np.triu(covered, 1).max() < 10  # square pixels
