"""Learning curves: which line is which fold, in the picture and where the pointer asks."""

from itertools import pairwise

import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from dogs_vs_cats.modeling import learning_curves

COLUMNS = ["fold", "seed", "epoch", "loss", "accuracy", "val_loss", "val_accuracy"]


def history(epochs: int = 3, ends: tuple[float, ...] = (0.5, 0.1, 0.1, 0.1, 0.02)) -> pd.DataFrame:
    """Return two heads for each fold, whose held-out log losses end at `ends`."""
    rows = [
        (fold, seed, epoch, 1 / epoch, 0.9, end * epochs / epoch, 1 - end)
        for fold, end in enumerate(ends)
        for seed in (1, 2)
        for epoch in range(1, epochs + 1)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_each_fold_is_named_in_its_colour_at_the_end_of_its_lines(scale):
    figure = Figure(layout="constrained")
    axes = figure.subplots()
    axes.set_yscale(scale)
    learning_curves.draw(axes, history(), "loss", "log loss")
    figure.draw_without_rendering()
    names = {text.get_text(): text for text in axes.texts}
    assert list(names) == [f"fold {fold}" for fold in range(5)]
    held_out = [
        line for line in axes.lines if line.get_linestyle() == "-" and len(line.get_xdata())
    ]
    assert len(held_out) == 10
    for number, (name, text) in enumerate(names.items()):
        pair = held_out[2 * number : 2 * number + 2]
        assert {line.get_color() for line in pair} == {text.get_color()}, name
        assert text.xy == (3, pair[0].get_ydata()[-1])
    # Of an annotation, its own extent has the line to its point too.
    boxes = [Text.get_window_extent(text) for text in names.values()]
    assert not any(one.overlaps(two) for one, two in pairwise(boxes))
    assert all(box.x0 > axes.bbox.x1 and box.x1 < figure.bbox.x1 for box in boxes)


def test_names_move_as_little_as_needed():
    gap = learning_curves.GAP
    assert learning_curves.apart([0.9, 0.1, 0.5]) == [0.9, 0.1, 0.5]
    assert learning_curves.apart([0.5, 0.5]) == pytest.approx([0.5 - gap / 2, 0.5 + gap / 2])
    moved = learning_curves.apart([0.5, 0.5 + gap / 2, 0.5 + gap])
    assert moved == pytest.approx([0.5 - gap / 2, 0.5 + gap / 2, 0.5 + 3 * gap / 2])


def test_the_pointer_s_values_are_few_and_include_the_last_epoch():
    values = list(learning_curves.values(history(epochs=200), "loss", "log loss"))
    assert len(values) == 5 * 2 * 2 * learning_curves.SHOWN
    assert (200, 0.5, "fold 0, held out, epoch 200: log loss 0.5") in values
    assert (200, 1 / 200, "fold 4, training, epoch 200: log loss 0.005") in values
