"""Numbers as a reader meets them; every expected text is written by hand."""

import pytest

from groundschool.report import words

THIN = "\u202f"


def interval(value, lower, upper):
    return {"value": value, "lower": lower, "upper": upper}


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [
        (None, None, "–"),
        (16769, None, "16,769"),
        (-100, None, "−100"),
        (0.0, None, "0"),
        (-13.8512, 2, "−13.85"),
        (-0.004, 2, "0.00"),
        (21.6881, None, "21.69"),
        (1234.56, None, "1,234.6"),
        (0.02249, None, "0.022"),
        (3.1e-9, None, "3.1e−09"),
    ],
)
def test_number(value, decimals, text):
    assert words.number(value, decimals) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.0, f"0.0{THIN}%"),
        (1.0, f"100.0{THIN}%"),
        (0.2073, f"20.7{THIN}%"),
        (0.0003, f"0.030{THIN}%"),
        (0.00002, f"0.0020{THIN}%"),
        (0.99998, f"99.9980{THIN}%"),
        (1e-12, f"< 0.0001{THIN}%"),
        (1 - 1e-12, f"> 99.9999{THIN}%"),
    ],
)
def test_percent_never_rounds_a_rare_event_to_none(value, text):
    assert words.percent(value) == text


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (None, "–"),
        (interval(21.241, 20.93, 21.552), "21.24 [20.93, 21.55]"),
        (interval(-13.72, -18.41, -9.03), "−13.7 [−18.4, −9.0]"),
        (interval(0.0, 0.0, None), "0.00 [0.00, ∞]"),
        (interval(5.0, None, None), "5.00 [−∞, ∞]"),
    ],
)
def test_estimate_takes_its_decimals_from_the_width(given, text):
    assert words.estimate(given) == text


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (interval(0.0, 0.0, 0.0183), f"0.0{THIN}% [0.0, 1.8]"),
        (interval(0.0, 0.0, 0.0003), f"0.000{THIN}% [0.000, 0.030]"),
        (interval(0.208, 0.1733, 0.2463), f"20.8{THIN}% [17.3, 24.6]"),
    ],
)
def test_rate(given, text):
    assert words.rate(given) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.031, "31.0 ms"), (1.94, "1.9 s"), (90.0, "90.0 s"), (720.0, "12.0 min")]
)
def test_seconds(value, text):
    assert words.seconds(value) == text


def test_flat_names_every_leaf_once():
    nested = {"data": {"seed": 42, "extra": {}}, "runs": [{"steps": None}, {"hidden": [64, 64]}], "resume": False}
    assert words.flat(nested) == [
        ("data.seed", "42"),
        ("data.extra", "none"),
        ("runs[0].steps", "not set"),
        ("runs[1].hidden", "64, 64"),
        ("resume", "no"),
    ]


def test_breakable_escapes_before_it_breaks():
    assert str(words.breakable("<b>a_b</b>")) == "&lt;b&gt;a_<wbr>b&lt;/<wbr>b&gt;"
