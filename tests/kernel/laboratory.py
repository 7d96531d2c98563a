"""A data plane under test.

Policies in a line of Python, packets sent through PROG_TEST_RUN, outcomes read back.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from kernel.cache_lines import empty
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet as Frame

from microseg import abi
from microseg.abi import PolicyMap, Root
from microseg.abi_flow import Direction, Event, Stats
from microseg.abi_outcome import Outcome
from microseg.abi_session import Session
from microseg.abi_settings import Settings
from microseg.compiler.ids import assign, rule_names
from microseg.compiler.lower import lower
from microseg.kernel.carrying import CACHES
from microseg.kernel.dataplane import PinnedDataPlane
from microseg.kernel.flows import Answer, Flows
from microseg.kernel.openings import OPENINGS
from microseg.kernel.packet_run import FrameContext
from microseg.policy.addresses import AddressSet
from microseg.policy.rules import Action, Default, Mode, NamedService, NamedSet, Policy, Rule, Ruleset
from microseg.policy.services import ANY_SERVICE, ServiceSet
from microseg.reconcile.dataplane import Hook
from microseg.source import Span

SESSION_MAPS = ("session4", "session6", *OPENINGS)
FRAGMENT_MAPS = ("fragment4", "fragment6")
COUNT_MAPS = ("rule_lines", "rule_counters")
MANY = 1_000_000
NOWHERE = Span("lab.mseg", 1, 1, 1, 2)
ANY = "0.0.0.0/0"
PROTOCOLS = {"tcp": 6, "udp": 17, "sctp": 132, "icmp": 1, "icmpv6": 58}


@dataclass(frozen=True)
class Sent:
    """What became of a packet; `answer` is the frame that goes back, if any."""

    outcome: Outcome
    passed: bool
    answer: bytes | None = None


def service(text: str) -> NamedService:
    """Return "any", "tcp", "tcp/80", "icmp/8/0", "proto/47" or one of them with "from PORT"."""
    wanted, _, source = text.partition(" from ")
    name, *numbers = wanted.split("/")
    if name == "any":
        return NamedService(text, ANY_SERVICE)
    if name == "proto":
        return NamedService(text, ServiceSet.of(int(numbers[0])))
    ports = [int(number) for number in numbers]
    if name.startswith("icmp"):
        ports = [ports[0] << 8 | ports[1]] if ports else []
    span = (ports[0], ports[-1]) if ports else (0, 0xFFFF)
    from_span = (int(source), int(source)) if source else (0, 0xFFFF)
    return NamedService(text, ServiceSet.of(PROTOCOLS[name], span, from_span))


def rule(action: str, src: str, dst: str, what: str = "any", *, log: bool = False) -> Rule:
    """Return a rule between comma-separated addresses or networks."""
    sides = [NamedSet(side, AddressSet.of(*side.split(","))) for side in (src, dst)]
    return Rule(Action(action), sides[0], sides[1], service(what), NOWHERE, log=log)


def allow(src: str, dst: str, what: str = "any", *, log: bool = False) -> Rule:
    return rule("allow", src, dst, what, log=log)


def deny(src: str, dst: str, what: str = "any", *, log: bool = False) -> Rule:
    return rule("deny", src, dst, what, log=log)


def reject(src: str, dst: str, what: str = "any", *, log: bool = False) -> Rule:
    return rule("reject", src, dst, what, log=log)


class Laboratory:
    """Drives one data plane."""

    def __init__(self, plane: PinnedDataPlane, hook: Hook = Hook.TCX) -> None:
        self.plane = plane
        self.hook = hook
        self.flows = Flows(plane, hook)
        self.ids: dict[str, int] = {}

    def clear(self) -> None:
        """Forget flows, counts and events; no policy, events without a limit, nothing is adopted."""
        self.plane.write_root(Root())
        self.forget_sessions()
        for name in (*FRAGMENT_MAPS, *COUNT_MAPS):
            empty(self.plane.map(name))
        stats = self.plane.map("stats")
        stats.update_many({key: bytes(len(value)) for key, value in stats.entries().items()})
        settings = Settings(hz=self.plane.read_settings().hz, events_per_s=MANY, answers_per_s=MANY)
        self.plane.write_settings(settings)
        self.events()

    def forget_sessions(self) -> None:
        """Forget all sessions, and what the flow cache knows of them."""
        for name in (*SESSION_MAPS, *CACHES):
            empty(self.plane.map(name))

    def close(self) -> None:
        self.plane.write_root(Root())

    def set(self, **settings: Any) -> None:
        """Change some of the settings."""
        self.plane.write_settings(replace(self.plane.read_settings(), **settings))

    def await_next_second(self) -> None:
        """Wait until each CPU may send as many events and answers again as are set for a second."""
        hz = self.plane.read_settings().hz
        second = self.flows.now() // hz
        while self.flows.now() // hz == second:
            time.sleep(0.01)

    def enforce(
        self, *rules: Rule, default: str = "deny", mode: Mode = Mode.ENFORCE, log: bool = False
    ) -> int:
        """Put a policy in force and return its generation."""
        generation = self.stage(*rules, default=default, mode=mode, log=log)
        self.plane.write_root(Root(generation))
        return generation

    def stage(self, *rules: Rule, default: str = "deny", mode: Mode = Mode.ENFORCE, log: bool = False) -> int:
        """Write a policy into the standby slot and return its generation."""
        policy = Policy("lab", NOWHERE, tuple(rules), mode=mode)
        return self.stage_ruleset(Ruleset((policy,), Default(Action(default), log=log)))

    def stage_ruleset(self, ruleset: Ruleset) -> int:
        ordered = ruleset.ordered()
        ids = assign("rule", rule_names(ordered))
        self.ids = {
            one.rule.canonical(): ids[name] for one, name in zip(ordered, rule_names(ordered), strict=True)
        }
        contents = abi.encode(lower(ruleset))
        seen = [self.plane.read_root().generation] + [
            self.plane.read_config(slot).generation for slot in (0, 1)
        ]
        generation = max(seen) + 1
        while generation & 1 == self.plane.read_root().generation & 1:
            generation += 1
        slot = generation & 1
        for name in PolicyMap:
            wanted = contents.maps[name]
            stale = [key for key in self.plane.read_map(slot, name).entries() if key not in wanted]
            self.plane.write_entries(slot, name, dict(wanted), stale)
        self.plane.write_config(slot, replace(contents.config, generation=generation))
        return generation

    def id_of(self, one: Rule) -> int:
        return self.ids[one.canonical()]

    def send(
        self,
        frame: Frame | bytes,
        direction: Direction = Direction.INGRESS,
        context: FrameContext | None = None,
    ) -> Sent:
        """Send a frame and return its outcome; exactly one counter must have moved."""
        before = self.stats()
        result = self.flows.run(_padded(frame), direction, context)
        after = self.stats()
        moved = {
            o: after.outcomes[o] - before.outcomes[o]
            for o in Outcome
            if after.outcomes[o] != before.outcomes[o]
        }
        assert sum(moved.values()) == 1, f"counted as {moved}"
        (outcome,) = moved
        assert outcome.passes == result.passed, outcome
        return Sent(outcome, result.passed, result.frame if result.answered else None)

    def outcome(self, frame: Frame | bytes, direction: Direction = Direction.INGRESS) -> Outcome:
        return self.send(frame, direction).outcome

    def ask(self, frame: Frame | bytes, generation: int | None = None) -> Answer:
        return self.flows.ask(_padded(frame), generation or self.plane.read_root().generation)

    def stats(self) -> Stats:
        return self.flows.stats()

    def events(self) -> list[Event]:
        """Return the events since the last call."""
        with self.flows.events() as reader:
            return list(reader.read())

    def sessions(self) -> list[Session]:
        return list(self.flows.sessions())

    def session(self) -> Session:
        (only,) = self.sessions()
        return only

    def open_tcp(
        self, sport: int = 40000, dport: int = 80, src: str = "10.1.1.1", dst: str = "10.1.2.1"
    ) -> None:
        """Do a TCP handshake, and check that it passes."""
        for frame in (
            tcp(src, dst, sport, dport, "S"),
            tcp(dst, src, dport, sport, "SA"),
            tcp(src, dst, sport, dport, "A"),
        ):
            assert self.send(frame).passed


def link() -> Frame:
    """Return an Ethernet header that is addressed to the device of PROG_TEST_RUN, which is lo."""
    return Ether(src="02:00:00:00:00:01", dst="00:00:00:00:00:00")


def tcp(  # noqa: PLR0917  # the order of a tcpdump line
    src: str, dst: str, sport: int, dport: int, flags: str = "S", payload: bytes = b""
) -> Frame:
    return link() / IP(src=src, dst=dst) / TCP(sport=sport, dport=dport, flags=flags, ack=1) / payload


def tcp6(  # noqa: PLR0917  # likewise
    src: str, dst: str, sport: int, dport: int, flags: str = "S", payload: bytes = b""
) -> Frame:
    return link() / IPv6(src=src, dst=dst) / TCP(sport=sport, dport=dport, flags=flags, ack=1) / payload


def udp(src: str, dst: str, sport: int, dport: int, payload: bytes = b"x") -> Frame:
    return link() / IP(src=src, dst=dst) / UDP(sport=sport, dport=dport) / payload


def run(*arguments: str | Sequence[str]) -> str:
    """Run a command of words, and return what it prints."""
    words = [
        word for argument in arguments for word in ([argument] if isinstance(argument, str) else argument)
    ]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def _padded(frame: Frame | bytes) -> bytes:
    return bytes(frame).ljust(60, b"\0")
