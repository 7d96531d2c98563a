"""The performance page is what the renderer makes of the kept results, and shows what was missed."""

from __future__ import annotations

import pytest
from bench import every, page
from bench.page import Found
from bench.results import Limit, Row, Section, Table

TABLE = Table(
    "Packets, IPv4", ("median, ns", "least"), (Row("ours", (41.0, 40)), Row("theirs", (95, None))), "make x"
)
RESULTS = {
    "some": Found(
        "a machine",
        "2026-06-01",
        Section(
            "some part", (TABLE,), (Limit("ours, ns", 41, most=50), Limit("ours to theirs", 2.5, least=3))
        ),
    )
}


def test_the_page_in_the_repository_is_made_of_the_results_kept_there() -> None:
    made = page.render(page.kept(), page.PROSE.read_text(encoding="utf-8"))

    assert page.PAGE.read_text(encoding="utf-8") == made.text, "make bench, or bench.every --page-only"
    assert {path.name: path.read_text(encoding="utf-8") for path in page.FOLDER.glob("*.svg")} == made.plots


def test_each_benchmark_has_its_results_and_its_place() -> None:
    prose = page.PROSE.read_text(encoding="utf-8")

    for part in every.PARTS:
        assert part.name in page.kept()
        assert f"make bench BENCH={part.name}" in page.PAGE.read_text(encoding="utf-8")
        assert f"{{{{machine {part.name}}}}}" in prose


def test_places_are_filled() -> None:
    made = page.render(RESULTS, "{{machine some}}\n{{plot some: Packets, IPv4: ns}}\n{{tables some}}")

    assert made.text.startswith(
        "a machine, 2026-06-01\n![Packets, IPv4](performance/some-packets-ipv4.svg)\n"
    )
    assert "| ours | 41 | 40 |" in made.text
    assert "| theirs | 95 |  |" in made.text
    assert "<svg" in made.plots["some-packets-ipv4.svg"]


def test_a_promise_that_was_not_kept_is_told() -> None:
    text = page.render(RESULTS, "{{limits}}\n\n{{missed}}").text

    assert "| ours, ns | 41 | at most 50 |  |" in text
    assert "**missed**" in text
    assert "- ours to theirs: 2.5, at least 3" in text
    assert "ours, ns: " not in text


@pytest.mark.parametrize("prose", ["{{table some: Packets}}", "{{figure some}}"])
def test_a_place_for_what_was_not_measured_is_an_error(prose: str) -> None:
    with pytest.raises(ValueError, match=r"page.md.in: "):
        page.render(RESULTS, prose)


def test_results_survive_being_kept(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "RESULTS", tmp_path)

    page.keep("some", RESULTS["some"])

    assert page.kept() == RESULTS
