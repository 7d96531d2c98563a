"""Plots are whole images: valid XML, every figure in its place, nothing loaded from elsewhere."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from microseg.bench.plots import WIDTH, Series, bars, lines
from microseg.bench.scales import short, ticks

SVG = "{http://www.w3.org/2000/svg}"
FIGURES = st.none() | st.floats(min_value=0, max_value=1e12, allow_subnormal=False)


def texts(image: str) -> list[str]:
    return [str(element.text) for element in ET.fromstring(image).iter(f"{SVG}text")]


def widths(image: str) -> list[float]:
    bars_of = [e for e in ET.fromstring(image).iter(f"{SVG}rect") if e.attrib["class"].startswith("fill")]
    return [float(e.attrib["width"]) for e in bars_of]


def test_bars_are_as_long_as_their_figures() -> None:
    image = bars("Cost", "ns", ["ours", "theirs"], [Series("", (50.0, 200.0))])
    assert {"Cost, ns", "ours", "theirs", "50", "200"} <= set(texts(image))
    ours, theirs = widths(image)
    assert math.isclose(4 * ours, theirs, rel_tol=0.01)


def test_a_line_has_a_gap_where_there_is_no_figure() -> None:
    image = lines("Packets", "1/s", "seconds", range(6), [Series("in", (1.0, 2.0, None, 3.0, 4.0, None))])
    pieces = [e.attrib["points"].split() for e in ET.fromstring(image).iter(f"{SVG}polyline")]
    assert [len(piece) for piece in pieces] == [2, 2]
    alone = lines("Packets", "1/s", "seconds", [1.0], [Series("in", (1.0,))])
    assert len(list(ET.fromstring(alone).iter(f"{SVG}circle"))) == 1


def test_a_long_legend_takes_more_rows() -> None:
    series = [Series(f"a contestant of a long name, {number}", (1.0,)) for number in range(9)]
    boxes = [
        e
        for e in ET.fromstring(bars("t", "u", ["x"], series)).iter(f"{SVG}rect")
        if "12" in e.attrib["width"]
    ]
    assert max(float(box.attrib["x"]) for box in boxes) < WIDTH
    assert len({box.attrib["y"] for box in boxes if box.attrib["height"] == "12"}) > 1


@given(
    st.lists(st.tuples(FIGURES, FIGURES), max_size=8),
    st.text(st.characters(codec="utf-8", exclude_categories=["C"])),
)
def test_any_figures_and_names_make_a_picture(
    rows: list[tuple[float | None, float | None]], name: str
) -> None:
    series = [Series(name, tuple(row[each] for row in rows)) for each in (0, 1)]
    for image in (
        bars(name, "ns", [name] * len(rows), series),
        lines(name, "ns", "seconds", range(len(rows)), series),
    ):
        root = ET.fromstring(image)
        box = [float(number) for number in root.attrib["viewBox"].split()]
        for element in root.iter():
            for key in ("x", "x1", "x2", "cx"):
                assert 0 <= float(element.attrib.get(key, 0)) <= box[2]
            for key in ("y", "y1", "y2", "cy"):
                assert 0 <= float(element.attrib.get(key, 0)) <= box[3]


def test_nothing_is_loaded_from_elsewhere() -> None:
    image = bars("t", "u", ["x"], [Series("a", (1.0,)), Series("b", (2.0,))])
    assert "prefers-color-scheme:dark" in image
    assert re.findall(r"https?://[^\"]*", image) == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"url\(|@import|<script|href", image)


@given(st.floats(-1e12, 1e12), st.floats(-1e12, 1e12))
def test_ticks_are_few_and_go_all_the_way(one: float, other: float) -> None:
    least, most = sorted((one, other))
    found = ticks(least, most)
    slack = 1e-6 * max(1.0, abs(least), abs(most))
    assert found[0] <= least + slack
    assert found[-1] >= most - slack
    assert 2 <= len(found) <= 9
    assert list(found) == sorted(set(found))


def test_numbers_are_short() -> None:
    figures = (0, 0.25, 1.0, 36.12, 99.96, 9870.4, 12_345, 999_960, 1_234_567, 2.5e9, 0.004)
    assert [short(figure) for figure in figures] == [
        *("0", "0.25", "1", "36.1", "100", "9,870", "12.3 k", "1 M", "1.23 M", "2.5 G", "0.004")
    ]
