"""A measurement as a page: plots and tables in one HTML file that loads nothing."""

from __future__ import annotations

import json
from html import escape
from typing import TYPE_CHECKING

from microseg.bench.plots import Series, lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from microseg.bench.figures import Figures, FilterFigures
    from microseg.bench.report import Report

    Figure = Callable[[Figures], float | None]

_STYLE = """\
:root{color-scheme:light dark}
body{font:15px/1.5 system-ui,sans-serif;max-width:800px;margin:2rem auto;padding:0 1rem}
svg{max-width:100%;height:auto;margin:.5rem 0}
table{border-collapse:collapse}
td,th{text-align:left;padding:.15rem 1rem .15rem 0;vertical-align:top;font-weight:normal}
th{opacity:.7;white-space:nowrap}
pre{font-size:12px;white-space:pre-wrap;overflow-wrap:anywhere}
"""


def page(report: Report, summary: Iterable[tuple[str, str]]) -> str:
    """Return the page; summary: what the whole time came to, names and values."""
    title = f"microseg bench: {report.interface}"
    rows = [
        ("machine", report.machine.words),
        ("began", report.at),
        ("traffic", report.traffic or "what there was"),
        *summary,
    ]
    table = "\n".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows)
    figures = json.dumps(report.as_object(), indent=1)
    return "\n".join(
        (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title>\n<style>\n{_STYLE}</style>\n</head>\n<body>",
            f"<h1>{escape(title)}</h1>\n<table>\n{table}\n</table>",
            *_plots(report),
            f"<details><summary>Figures</summary><pre>{escape(figures)}</pre></details>",
            "</body>\n</html>\n",
        )
    )


def _plots(report: Report) -> Iterator[str]:
    samples = report.measurement.samples
    places = [each.ends_s for each in samples]

    def plot(title: str, unit: str, *curves: tuple[str, Figure]) -> str:
        series = [Series(name, tuple(figure(each) for each in samples)) for name, figure in curves]
        return lines(title, unit, "seconds", places, series)

    yield plot(
        "Packets", "packets/s",
        ("in", lambda it: it.interface.in_pps), ("out", lambda it: it.interface.out_pps),
    )  # fmt: skip
    yield plot(
        "Throughput", "Gbit/s",
        ("in", lambda it: it.interface.in_bps / 1e9), ("out", lambda it: it.interface.out_bps / 1e9),
    )  # fmt: skip
    if any(each.filter for each in samples):
        yield plot(
            "Time of a packet in the filter", "ns",
            ("in", _mine(lambda it: it.ns_in)), ("out", _mine(lambda it: it.ns_out)),
        )  # fmt: skip
        yield plot("Packets of a session", "%", ("hit rate", _percent(_mine(lambda it: it.hit_rate))))
        yield plot(
            "Sessions opened and packets dropped", "1/s",
            ("opened", _mine(lambda it: it.new_sessions_per_s)),
            ("dropped", _mine(lambda it: it.dropped_pps)),
        )  # fmt: skip
    yield plot(
        "Processors", "%",
        ("busy, of all", _percent(lambda it: it.cpu_share)),
        ("receiving packets, of all", _percent(lambda it: it.softirq_share)),
        ("filter, of one", _percent(_mine(lambda it: it.cpu_share))),
    )  # fmt: skip


def _mine(figure: Callable[[FilterFigures], float | None]) -> Figure:
    return lambda it: figure(it.filter) if it.filter else None


def _percent(figure: Figure) -> Figure:
    def hundredfold(it: Figures) -> float | None:
        share = figure(it)
        return None if share is None else 100 * share

    return hundredfold
