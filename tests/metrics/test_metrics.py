"""Figures for Prometheus: what they say, and that they are said as Prometheus wants them."""

from __future__ import annotations

import json
import re
import socket
import urllib.request
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from cli.terminal_session import Session
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.parser import text_string_to_metric_families
from reconcile.fake import FakeDataPlane
from tree import ROOT

from microseg.abi_flow import Direction, Stats
from microseg.abi_outcome import Outcome
from microseg.agent_settings import Endpoint
from microseg.gitops.observer import Silent
from microseg.gitops.observers import Observers
from microseg.gitops.record import (
    AgentRecord,
    Attempt,
    Candidate,
    Cycle,
    DriftFinding,
    GoBack,
    InForce,
    Observation,
    Quarantine,
    Reason,
    SetAside,
    Try,
)
from microseg.kernel.runs import Runs
from microseg.metrics import serving
from microseg.metrics.agent import AgentMetrics
from microseg.metrics.kernel import action_of
from microseg.metrics.record import RecordCollector
from microseg.reconcile.dataplane import KernelError, RuleCount
from microseg.reconcile.records import Attribution
from microseg.reconcile.records import Outcome as Ended
from microseg.reconcile.revision import Revision

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CANDIDATE = Candidate("c" * 40, Revision("c" * 40, "a policy"), NOW - timedelta(seconds=3))
APPLIED = InForce(CANDIDATE, 7, b"d", NOW, NOW.date())
RECORD = AgentRecord(
    desired=CANDIDATE,
    attempt=Attempt(CANDIDATE, Reason.NEW, NOW, Ended.DONE, generation=7, duration_ms=40),
    applied=APPLIED,
    quarantine=Quarantine(CANDIDATE, "a test fails", NOW),
    drift=DriftFinding(NOW, ("one",)),
    failures=2,
    seen_at=NOW,
    pid=1,
)


class FakeFlows:
    """What goes through, for an instance in memory."""

    def __init__(self, _: object) -> None:
        pass

    def stats(self) -> Stats:
        outcomes = {outcome: int(outcome) for outcome in Outcome}
        return Stats(outcomes, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22)

    def count_sessions(self) -> dict[str, int]:
        return {"session4": 5, "session6": 6, "opening4": 7, "opening6": 8}

    def packets_by_cpu(self) -> tuple[int, ...]:
        return 30, 10

    def runs(self) -> dict[Direction, Runs]:
        return {Direction.INGRESS: Runs(20, 3_000_000), Direction.EGRESS: Runs(0, 0)}


@pytest.fixture
def text(session: Session, plane: FakeDataPlane, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return all there is: of an instance in memory, of a record, and of a cycle that was counted."""
    monkeypatch.setattr("microseg.metrics.kernel.Flows", FakeFlows)
    session.expect(0, "apply", "-i", "eth0")
    plane.counts = {0: RuleCount(2, 200)}
    registry = CollectorRegistry()
    registry.register(RecordCollector("1.2", lambda: RECORD))
    watcher = AgentMetrics(registry)
    seen = Observation(NOW, CANDIDATE, rewritten="b" * 40)
    watcher.ended(Cycle(seen, Try(CANDIDATE, Reason.NEW), RECORD, RECORD.attempt))
    watcher.ended(Cycle(Observation(NOW), GoBack("no connection"), RECORD))
    watcher.ended(Cycle(Observation(NOW), SetAside(CANDIDATE, "rolled back"), RECORD))
    of_kernel = session.expect(0, "metrics").partition("# HELP microseg_kernel_readable")
    return serving.as_text(registry) + of_kernel[1] + of_kernel[2]


def families(text: str) -> dict[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(text)}


def value(text: str, name: str, **labels: str) -> float:
    found = [
        sample.value
        for family in families(text).values()
        for sample in family.samples
        if sample.name == name and sample.labels == labels
    ]
    assert len(found) == 1, f"{name} {labels}: {found}"
    return found[0]


def test_what_the_kernel_says(text: str) -> None:
    assert value(text, "microseg_generation") == 1
    assert value(text, "microseg_attached_interfaces") == 1
    assert value(text, "microseg_kernel_readable") == 1
    assert value(text, "microseg_dropped_packets_total", reason="denied") == Outcome.DROP_DENIED
    assert value(text, "microseg_passed_packets_total", reason="session") == Outcome.PASS_SESSION
    assert value(text, "microseg_events_unreported_total", reason="full") == 15
    assert value(text, "microseg_sessions", family="ipv6", state="opening") == 8
    assert value(text, "microseg_capacity_entries", map="policy") == 131_072
    assert 0 < value(text, "microseg_entries", map="policy") < 20
    assert value(text, "microseg_verdict_packets_total", action="deny", policy="default") == 2
    assert value(text, "microseg_seen_packets_total", cpu="0") == 30
    assert value(text, "microseg_program_run_seconds_total", direction="ingress") == pytest.approx(0.003)
    assert value(text, "microseg_program_runs_total", direction="ingress") == 20


def test_what_the_record_says(text: str) -> None:
    assert value(text, "microseg_revision_info", role="applied", commit="c" * 10) == 1
    assert value(text, "microseg_revision_info", role="confirmed", commit="none") == 1
    assert value(text, "microseg_drift_differences") == 1
    assert value(text, "microseg_last_success_timestamp_seconds") == NOW.timestamp()
    assert value(text, "microseg_agent_quarantined") == 1
    assert value(text, "microseg_agent_failures") == 2
    assert value(text, "microseg_build_info", version="1.2") == 1


def test_what_the_agent_counts(text: str) -> None:
    assert value(text, "microseg_applies_total", outcome="done") == 1
    assert value(text, "microseg_applies_total", outcome="failed") == 0
    assert value(text, "microseg_apply_duration_seconds_sum") == pytest.approx(0.04)
    assert value(text, "microseg_commit_to_enforced_seconds_sum") == pytest.approx(3)
    assert value(text, "microseg_rollbacks_total", reason="probes") == 1
    assert value(text, "microseg_rollbacks_total", reason="set-aside") == 1
    assert value(text, "microseg_rewritten_histories_total") == 1


def test_a_kernel_that_cannot_be_asked_is_a_figure_too(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> None:
        raise KernelError("no")

    monkeypatch.setattr("microseg.metrics.kernel.read_observed", broken)
    said = session.expect(0, "metrics")
    assert value(said, "microseg_kernel_readable") == 0
    assert "microseg_generation" not in families(said)


@pytest.mark.parametrize(
    ("rule", "action"),
    [("allow a -> b : any", "allow"), ("default deny log", "deny"), ("reject any -> b", "reject")],
)
def test_the_action_of_a_rule(rule: str, action: str) -> None:
    assert action_of(Attribution("p", rule)) == action


# What `promtool check metrics` finds fault with.
UNITS = ("milliseconds", "microseconds", "minutes", "hours", "days", "kilobytes", "megabytes", "percent")
SHORT = ("s", "ms", "us", "ns", "sec", "b", "kb", "mb", "pct", "num", "cnt")
TYPES = ("gauge", "counter", "histogram", "summary", "metric")
RESERVED = ("_count", "_sum", "_bucket", "_total")


def faults_of_name(family: Metric) -> Iterator[str]:
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", family.name):
        yield "a name that isn't snake_case"
    if {*UNITS, *SHORT, *TYPES} & set(family.name.split("_")):
        yield "a unit that isn't a base unit, a short word, or its type in the name"
    if family.type != "histogram" and family.name.endswith(RESERVED):
        yield "an ending of other types"


def faults(family: Metric) -> Iterator[str]:
    yield from faults_of_name(family)
    labels = {label for sample in family.samples for label in sample.labels}
    if not family.documentation.strip():
        yield "no help"
    if family.type == "unknown":
        yield "no type"
    if family.type == "counter" and not all(sample.name.endswith("_total") for sample in family.samples):
        yield "a counter without _total"
    if family.type != "histogram" and {"le", "quantile"} & labels:
        yield "a label of histograms"
    if family.name.endswith("_info") and {sample.value for sample in family.samples} != {1.0}:
        yield "information that isn't 1"
    if any(not re.fullmatch(r"[a-z_]+", label) for label in labels):
        yield "a label that isn't snake_case"
    if any(label in family.name for label in labels):
        yield "a label's name in the name"


def test_the_figures_pass_the_rules_of_the_field(text: str) -> None:
    found = families(text)
    assert len(found) > 25
    assert {name: list(faults(each)) for name, each in found.items() if list(faults(each))} == {}
    assert all(name.startswith("microseg_") for name in found)


@pytest.mark.parametrize(
    "wrong",
    [
        "# TYPE microseg_x counter\nmicroseg_x 1",
        "# HELP microseg_wait_ms w\n# TYPE microseg_wait_ms gauge\nmicroseg_wait_ms 1",
        "# HELP microseg_a_total w\n# TYPE microseg_a_total gauge\nmicroseg_a_total 1",
        "# HELP microseg_a_info w\n# TYPE microseg_a_info gauge\nmicroseg_a_info 2",
        "# HELP microsegA w\n# TYPE microsegA gauge\nmicrosegA 1",
    ],
)
def test_the_rules_find_faults(wrong: str) -> None:
    assert any(list(faults(each)) for each in families(wrong + "\n").values())


def names_in(expression: str) -> set[str]:
    return set(re.findall(r"\bmicroseg_\w+", expression))


def expressions() -> Iterable[str]:
    folder = ROOT / "examples" / "monitoring"
    for group in yaml.safe_load((folder / "alerts.yml").read_text())["groups"]:
        for rule in group["rules"]:
            assert rule["annotations"]["summary"]
            yield rule["expr"]
    dashboard = json.loads((folder / "dashboard.json").read_text())
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel["targets"])
    yield from (each["query"] for each in dashboard["templating"]["list"])


def test_dashboard_and_alerts_name_what_there_is(text: str) -> None:
    there = {sample.name for family in families(text).values() for sample in family.samples}
    named = {name for expression in expressions() for name in names_in(expression)}
    assert len(named) > 20
    assert named - there == set()


def test_the_document_lists_every_figure(text: str) -> None:
    page = (ROOT / "docs" / "metrics.md").read_text()
    listed = set(re.findall(r"^\| `(microseg_\w+)`", page, re.MULTILINE))
    exposed = {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in families(text).values()
    }
    assert listed == exposed


def test_figures_are_served_over_http(text: str) -> None:
    registry = CollectorRegistry()
    AgentMetrics(registry)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with serving.served(registry, Endpoint("127.0.0.1", port)):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            assert answer.headers["Content-Type"].startswith("text/plain")
            assert "microseg_applies" in families(answer.read().decode())
        with pytest.raises(OSError, match="in use"), serving.served(registry, Endpoint("127.0.0.1", port)):
            pass
    assert text


def test_every_observer_hears_everything() -> None:
    class Witness(Silent):
        def __init__(self, beat_s: float | None) -> None:
            self.heard: list[str] = []
            self.heartbeat_s = beat_s

        def alive(self) -> None:
            self.heard.append("alive")

        def stopped(self, record: AgentRecord) -> None:
            self.heard.append(f"stopped {record.pid}")

    first, second, third = Witness(None), Witness(5), Witness(2)
    together = Observers([first, second, third])
    together.alive()
    together.stopped(RECORD)
    assert first.heard == second.heard == third.heard == ["alive", "stopped 1"]
    assert together.heartbeat_s == 2
    assert Observers([first]).heartbeat_s is None


def test_the_address_is_read_from_the_settings(session: Session, tmp_path: Path) -> None:
    with session.settings.open("a") as settings:
        settings.write('[agent]\nmetrics = "127.0.0.1"\n')
    done = session.type("status")
    assert done.exit_code == 64
    assert "metrics: '127.0.0.1' is not ADDRESS:PORT" in done.stderr
    assert tmp_path
