"""Legible text: times and rates in words."""

import pytest

from dogs_vs_cats import legible


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "1 s"),
        (59.4, "59 s"),
        (99.6, "2 min"),
        (250, "4 min"),
        (5399, "90 min"),
        (9000, "2 h 30 min"),
    ],
)
def test_a_time_is_as_rough_as_an_estimate(seconds, text):
    assert legible.duration(seconds) == text


@pytest.mark.parametrize(
    ("rate", "text"), [(1250.3, "1,250"), (25.4, "25"), (9.96, "10"), (3.14, "3.1"), (0.24, "0.24")]
)
def test_a_rate_has_two_digits_or_more(rate, text):
    assert legible.per_second(rate) == text
