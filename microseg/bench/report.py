"""A measurement as a JSON document: microseg-bench-1 of docs/formats.md."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from microseg.bench.figures import Figures, FilterFigures
    from microseg.bench.machine import Machine
    from microseg.bench.measuring import Measurement

SCHEMA = "microseg-bench-1"


@dataclass(frozen=True, slots=True)
class Report:
    """A measurement, and of what.

    Attributes:
        version: of microseg.
        at: when it began, ISO 8601.
        machine: where.
        interface: what was looked at.
        shared: other interfaces that are in the filter's figures.
        traffic: what was sent, in words; empty: nothing by us.
        measurement: the figures.
        remarks: what the traffic's own program said, such as a round trip's time.

    """

    version: str
    at: str
    machine: Machine
    interface: str
    shared: tuple[str, ...]
    traffic: str
    measurement: Measurement
    remarks: tuple[str, ...] = ()

    def as_object(self) -> dict[str, Any]:
        """Return the document."""
        measured = self.measurement
        return {
            "schema": SCHEMA,
            "version": self.version,
            "at": self.at,
            "machine": asdict(self.machine),
            "interface": self.interface,
            "filter_shared_with": list(self.shared),
            "traffic": self.traffic or None,
            "remarks": list(self.remarks),
            "interrupted": measured.interrupted,
            "sessions": {"before": measured.sessions_before, "after": measured.sessions_after},
            "samples": [figures_object(figures) for figures in measured.samples],
            "summary": figures_object(measured.whole),
        }


def figures_object(figures: Figures) -> dict[str, Any]:
    """Return the figures of an interval."""
    found = figures.interface
    return {
        "ends_s": round(figures.ends_s, 3),
        "seconds": round(figures.seconds, 3),
        "in": {"packets_per_s": round(found.in_pps, 1), "bits_per_s": round(found.in_bps)},
        "out": {"packets_per_s": round(found.out_pps, 1), "bits_per_s": round(found.out_bps)},
        "cpu_share": _share(figures.cpu_share),
        "softirq_share": _share(figures.softirq_share),
        "filter": _filter_object(figures.filter) if figures.filter else None,
    }


def _filter_object(mine: FilterFigures) -> dict[str, Any]:
    return {
        "packets_per_s": round(mine.pps, 1),
        "packets_per_s_by_cpu": [round(one, 1) for one in mine.pps_by_cpu],
        "ns_per_packet": _tenth(mine.ns),
        "ns_per_packet_in": _tenth(mine.ns_in),
        "ns_per_packet_out": _tenth(mine.ns_out),
        "hit_rate": _share(mine.hit_rate),
        "cpu_share_of_one": round(mine.cpu_share, 6),
        "new_sessions_per_s": round(mine.new_sessions_per_s, 1),
        "passed_per_s": round(mine.passed_pps, 1),
        "dropped_per_s": round(mine.dropped_pps, 1),
        "drops_per_s": {outcome.name.lower(): round(pps, 1) for outcome, pps in mine.drops_pps.items()},
        "events_lost_per_s": round(mine.events_lost_per_s, 1),
    }


def _share(share: float | None) -> float | None:
    return None if share is None else round(share, 6)


def _tenth(number: float | None) -> float | None:
    return None if number is None else round(number, 1)
