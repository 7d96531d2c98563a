"""microseg status: what is in force, where, since when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from microseg.abi_flow import Direction
from microseg.cli import instance, options, status_agent, terminal
from microseg.cli.durations import words
from microseg.cli.entry_text import TITLES
from microseg.cli.exits import Command
from microseg.cli.plan_text import default_words
from microseg.reconcile.records import history_to_json, revision_to_json
from microseg.reconcile.revision import describe
from microseg.reconcile.rollback import in_force
from microseg.reconcile.status import Status, read_status

if TYPE_CHECKING:
    from datetime import datetime

    from microseg.abi_flow import Stats
    from microseg.cli.status_agent import AgentStatus
    from microseg.config import Settings
    from microseg.kernel.flows import Flows
    from microseg.kernel.runs import Runs
    from microseg.reconcile.observed import Observed


@click.command("status", cls=Command)
@options.with_settings(*options.KERNEL)
@options.output_format
def command(settings: Settings, output_format: str) -> None:
    """Show what is in force, where, and since when."""
    status = read_status(instance.open_host(settings))
    agent = status_agent.read_agent_status(settings)
    load = _read_load(instance.open_flows(settings)) if status.observed.loaded else None
    if output_format == "json":
        following = {"agent": status_agent.as_object(agent) if agent else None}
        terminal.dump(_object(status) | _load_object(load) | following)
    else:
        _show(status, agent, load)


@dataclass(frozen=True, slots=True)
class Load:
    """What the program has done since its maps were made, by processor too, and what of it was timed."""

    stats: Stats
    packets_by_cpu: tuple[int, ...]
    runs: Runs


def _read_load(flows: Flows) -> Load:
    runs = flows.runs()
    return Load(flows.stats(), flows.packets_by_cpu(), runs[Direction.INGRESS] + runs[Direction.EGRESS])


def _show(status: Status, agent: AgentStatus | None, load: Load | None) -> None:
    observed = status.observed
    terminal.say(_headline(status), bold=True)
    applied = status.known.applied
    terminal.pairs(
        [
            ("revision", describe(status.known.revision) if applied else ""),
            (
                "since",
                f"{_when(applied.at)}, by {applied.who} ({applied.operation.value})" if applied else "",
            ),
            ("default", default_words(observed.configs[observed.live]) if observed.judges else ""),
            ("attached", ", ".join(f"{it.interface} ({it.hook.value})" for it in observed.attachments)),
            ("program", "traces each packet, slowly (debug_program)" if observed.debug_program else ""),
            ("entries", _entries(status)),
            ("hit rate", _hit_rate(load)),
            ("load", _load_words(load)),
            ("confirm", _confirm(observed)),
            ("way back", f"generation {status.way_back}: microseg rollback" if status.way_back else ""),
            ("last", _last(status)),
            ("next", _next(status) if agent is None else ""),
            *(status_agent.rows(agent, observed) if agent else ()),
        ]
    )
    for problem in (*_problems(status), *(status_agent.problems(agent) if agent else ())):
        terminal.warn(problem)


def _headline(status: Status) -> str:
    observed = status.observed
    if not observed.loaded and observed.attachments:
        return "Programs are attached and go on as they were, but their pins are gone."
    if not observed.loaded:
        return "Nothing is loaded: everything passes."
    if not observed.generation:
        return "The program is loaded, but no policy is in force: everything passes."
    if not observed.attachments:
        return f"Generation {observed.generation} is in force, but nowhere: no interface is attached."
    return f"Generation {observed.generation} is in force."


def _confirm(observed: Observed) -> str:
    if not observed.confirm_left_s:
        return ""
    before = observed.configs[observed.standby].generation
    following = f"generation {before}" if before else "no policy (everything passes)"
    return f"within {words(observed.confirm_left_s)} (microseg confirm), or {following} comes back by itself"


def _next(status: Status) -> str:
    observed = status.observed
    if not observed.generation:
        return "microseg apply"
    return "" if observed.attachments else "microseg attach --interface NAME"


def _problems(status: Status) -> list[str]:
    problems = list(status.known.problems)
    if status.altered:
        problems.append(
            "the entries in the kernel are not those that were staged: somebody changed them; "
            "microseg apply puts them right"
        )
    if status.observed.reverted:
        late, now = status.observed.root.generation, in_force(status.observed.generation)
        problems.append(
            f"generation {late} was not confirmed in time, so the program went back by itself: {now}"
        )
    return problems


def _entries(status: Status) -> str:
    capacities = status.observed.capacities
    pressure = _pressure(status)
    return ", ".join(
        f"{count} of {capacities[name]} {TITLES[name]}" for name, count in status.entries.items() if count
    ) + (f"; the fullest map is {pressure:.0%} full" if pressure else "")


def _pressure(status: Status) -> float | None:
    """Return how full the fullest map of the slot in force is, 0 .. 1; None when no policy is in force."""
    capacities = status.observed.capacities
    return max((count / capacities[name] for name, count in status.entries.items()), default=None)


def _hit_rate(load: Load | None) -> str:
    """Return the share of packets that took one lookup, because they belong to a known connection."""
    if load is None or load.stats.hit_rate is None:
        return ""
    return f"{load.stats.hit_rate:.1%} of {load.stats.packets} packets belonged to a session"


def _load_words(load: Load | None) -> str:
    if load is None or not load.stats.packets:
        return ""
    busy = sum(1 for packets in load.packets_by_cpu if packets)
    share = max(load.packets_by_cpu) / load.stats.packets
    cost = f"; {load.runs.each_ns:.0f} ns each, of the {load.runs.count} timed" if load.runs.each_ns else ""
    return f"{terminal.count(busy, 'CPU')}, the busiest has {share:.0%} of the packets{cost}"


def _load_object(load: Load | None) -> dict[str, Any]:
    return {
        "hit_rate": load.stats.hit_rate if load else None,
        "packets_by_cpu": list(load.packets_by_cpu) if load else None,
        "ns_per_packet": load.runs.each_ns if load else None,
    }


def _last(status: Status) -> str:
    last = status.last
    if last is None:
        return ""
    return f"{last.operation.value} {last.outcome.value}, {_when(last.at)}, by {last.who}: {last.detail}"


def _when(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _object(status: Status) -> dict[str, Any]:
    observed, applied = status.observed, status.known.applied
    return {
        "loaded": observed.loaded,
        "generation": observed.generation,
        "revision": revision_to_json(status.known.revision),
        "since": applied.at.isoformat() if applied else None,
        "who": applied.who if applied else None,
        "operation": applied.operation.value if applied else None,
        "digest": observed.configs[observed.live].digest.hex() if observed.judges else None,
        "default": default_words(observed.configs[observed.live]) if observed.judges else None,
        "attached": [{"interface": it.interface, "hook": it.hook.value} for it in observed.attachments],
        "debug_program": observed.debug_program,
        "entries": {name.value: count for name, count in status.entries.items()},
        "map_pressure": _pressure(status),
        "capacities": {name.value: count for name, count in observed.capacities.items()},
        "confirm_within_s": observed.confirm_left_s or None,
        "way_back": status.way_back or None,
        "last": history_to_json(status.last) if status.last else None,
        "problems": _problems(status),
    }
