"""What the kernel's maps say, read when somebody asks."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from microseg.abi import PolicyMap
from microseg.kernel.flows import Flows
from microseg.policy.rules import Action
from microseg.reconcile.dataplane import KernelError
from microseg.reconcile.known import recall
from microseg.reconcile.observed import read_observed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from prometheus_client import Metric

    from microseg.abi_flow import Direction, Stats
    from microseg.kernel.dataplane import PinnedDataPlane
    from microseg.kernel.runs import Runs
    from microseg.reconcile.observed import Observed
    from microseg.reconcile.records import Attribution
    from microseg.reconcile.state import StateStore

    Open = Callable[[], AbstractContextManager[tuple[PinnedDataPlane, StateStore]]]

DEFAULT_POLICY = "default"
"""Label of what no policy decided; no policy can have this name, because it's a word of the language."""

SESSION_MAPS = {
    "session4": ("ipv4", "established"),
    "session6": ("ipv6", "established"),
    "opening4": ("ipv4", "opening"),
    "opening6": ("ipv6", "opening"),
}


class KernelCollector(Collector):
    """Reads an instance's maps anew for each scrape; others may have replaced them meanwhile.

    Entries and names are read again only when another generation is in force, since they belong to it.
    """

    def __init__(self, open_instance: Open) -> None:
        self._open = open_instance
        self._generation = -1
        self._entries: Mapping[PolicyMap, int] = {}
        self._rules: Mapping[int, Attribution] = {}

    def collect(self) -> Iterable[Metric]:
        """Yield the families; when the kernel can't be asked, only that it can't."""
        up = GaugeMetricFamily("microseg_kernel_readable", "Whether the kernel's maps can be read.")
        try:
            with self._open() as (plane, store):
                observed = read_observed(plane)
                families = [*_of_instance(observed)]
                if observed.loaded:
                    families += self._of_policy(plane, store, observed)
                    flows = Flows(plane)
                    families += _of_packets(flows.stats())
                    families.append(_of_sessions(flows.count_sessions()))
                    families += _of_processors(flows.packets_by_cpu(), flows.runs())
        except (KernelError, OSError):
            families = []
        up.add_metric([], float(bool(families)))
        return [up, *families]

    def describe(self) -> Iterable[Metric]:
        """Return nothing, so that registering doesn't ask the kernel."""
        return []

    def _of_policy(self, plane: PinnedDataPlane, store: StateStore, observed: Observed) -> Iterable[Metric]:
        if observed.generation != self._generation:
            self._entries = {name: len(plane.read_map(observed.live, name)) for name in PolicyMap}
            self._rules = recall(store, observed).names.rules
            self._generation = observed.generation
        held = GaugeMetricFamily(
            "microseg_entries", "Entries of the policy in force, by map.", labels=["map"]
        )
        room = GaugeMetricFamily(
            "microseg_capacity_entries", "Entries that a map can hold for one policy.", labels=["map"]
        )
        for name in PolicyMap:
            held.add_metric([name.value], self._entries[name] if observed.generation else 0)
            room.add_metric([name.value], observed.capacities[name])
        return [held, room, *self._of_rules(plane)]

    def _of_rules(self, plane: PinnedDataPlane) -> Iterable[Metric]:
        packets, octets = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
        for number, count in plane.rule_counts().items():
            if rule := self._rules.get(number):
                labels = (action_of(rule), rule.policy or DEFAULT_POLICY)
                packets[labels] += count.packets
                octets[labels] += count.bytes
        labels_of = ["action", "policy"]
        judged = CounterMetricFamily(
            "microseg_verdict_packets", "Packets that rules in force have judged.", labels=labels_of
        )
        sizes = CounterMetricFamily("microseg_verdict_bytes", "Bytes of those packets.", labels=labels_of)
        for labels in sorted(packets):
            judged.add_metric(labels, packets[labels])
            sizes.add_metric(labels, octets[labels])
        return [judged, sizes]


def action_of(rule: Attribution) -> str:
    """Return what a rule says, from its canonical text: `allow a -> b`, `default deny log`."""
    words = {action.value for action in Action}
    return next((word for word in rule.text.split() if word in words), "deny")


def _of_instance(observed: Observed) -> Iterable[Metric]:
    yield GaugeMetricFamily(
        "microseg_generation", "Generation in force; 0: none, everything passes.", value=observed.generation
    )
    yield GaugeMetricFamily(
        "microseg_attached_interfaces", "Interfaces under enforcement.", value=len(observed.attachments)
    )
    yield GaugeMetricFamily(
        "microseg_confirm_left_seconds",
        "Until the kernel goes back by itself, unless it is confirmed; 0: nothing waits.",
        value=observed.confirm_left_s,
    )


def _of_packets(stats: Stats) -> Iterable[Metric]:
    passes = CounterMetricFamily("microseg_passed_packets", "Packets that went on.", labels=["reason"])
    drops = CounterMetricFamily("microseg_dropped_packets", "Packets that did not.", labels=["reason"])
    for outcome, count in stats.outcomes.items():
        word = outcome.name.partition("_")[2].lower()
        (passes if outcome.passes else drops).add_metric([word], count)
    lost = CounterMetricFamily(
        "microseg_events_unreported", "Packets whose event was not reported.", labels=["reason"]
    )
    lost.add_metric(["full"], stats.events_lost)
    lost.add_metric(["rate"], stats.events_limited)
    sent = "Events that were reported."
    yield from (passes, drops, lost)
    yield CounterMetricFamily("microseg_events", sent, value=stats.events_sent)
    yield CounterMetricFamily("microseg_sessions_created", "Sessions opened.", value=stats.sessions_created)
    yield CounterMetricFamily(
        "microseg_sessions_refused", "Sessions that could not be stored.", value=stats.sessions_full
    )


def _of_processors(packets_by_cpu: Sequence[int], runs: Mapping[Direction, Runs]) -> Iterable[Metric]:
    packets = CounterMetricFamily("microseg_seen_packets", "Packets that a processor saw.", labels=["cpu"])
    for cpu, count in enumerate(packets_by_cpu):
        packets.add_metric([str(cpu)], count)
    counted = "while the kernel counted them (kernel.bpf_stats_enabled)."
    times = CounterMetricFamily(
        "microseg_program_run_seconds", f"Time in the program {counted}", labels=["direction"]
    )
    counts = CounterMetricFamily(
        "microseg_program_runs", f"Runs of the program {counted}", labels=["direction"]
    )
    for direction, each in runs.items():
        times.add_metric([direction.name.lower()], each.duration_ns / 1e9)
        counts.add_metric([direction.name.lower()], each.count)
    yield from (packets, times, counts)


def _of_sessions(counts: Mapping[str, int]) -> Metric:
    help_text = "Sessions, those included that have timed out and whose place nobody has taken."
    family = GaugeMetricFamily("microseg_sessions", help_text, labels=["family", "state"])
    for name, (version, state) in SESSION_MAPS.items():
        family.add_metric([version, state], counts[name])
    return family
