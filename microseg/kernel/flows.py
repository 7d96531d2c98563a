"""What goes through: statistics, sessions and events of a data plane, and questions to its policy."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from microseg.abi import EntryFlag
from microseg.abi_flow import Direction, Stats
from microseg.abi_outcome import Outcome
from microseg.abi_session import Session
from microseg.kernel import openings
from microseg.kernel.carrying import CACHES
from microseg.kernel.clock import jiffies_now
from microseg.kernel.events import EventReader
from microseg.kernel.flow_cache import PendingCounts
from microseg.kernel.packet_run import DROP, FrameContext, Runner, RunResult, XdpRunner
from microseg.kernel.programs import TC, XDP, XDP_FOLDER
from microseg.kernel.runs import Runs, runs_of
from microseg.kernel.tcx import places_of
from microseg.policy.rules import Verdict
from microseg.reconcile.dataplane import Hook, KernelError, NotLoadedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from microseg.abi_settings import Settings
    from microseg.kernel.bpf import Descriptor
    from microseg.kernel.dataplane import PinnedDataPlane

_ZERO = bytes(4)
_SESSION_MAPS = ("session4", "session6", *openings.OPENINGS)
_ASK_AGAIN = 20
_NOT_JUDGED = 0
NO_PRECEDENCE = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class Answer:
    """What a policy in the kernel says about a frame.

    Attributes:
        outcome: why the frame was not judged (malformed, not IP, ...); None when it was.
        verdict: of the policy, when judged.
        rule: id of the rule that decided; 0: the default.
        log: the rule asks for events.
        precedence: of the deciding entry; lowest wins. NO_PRECEDENCE: the default decides.
        probes: probes of the policy map it took.
        protocol: IP protocol number, as it was parsed.
        port: destination port; type << 8 | code for ICMP.
        source_port: 0 for ICMP.

    """

    outcome: Outcome | None
    verdict: Verdict | None
    rule: int = 0
    log: bool = False
    precedence: int = 0
    probes: int = 0
    protocol: int = 0
    port: int = 0
    source_port: int = 0


class Flows:
    """Reads a loaded data plane; changes nothing but for run().

    The hook says which programs run() sends frames through: TCX and clsact share theirs; XDP has its own for
    ingress, which must be loaded.
    """

    def __init__(self, dataplane: PinnedDataPlane, hook: Hook = Hook.TCX) -> None:
        self._dataplane = dataplane
        self._hook = hook
        self._runners: dict[str, tuple[Descriptor, Runner]] = {}
        self._nonces = count(1)

    def stats(self) -> Stats:
        """Return what became of all packets so far."""
        return Stats.from_bytes(self.stats_by_cpu())

    def stats_by_cpu(self) -> list[bytes]:
        """Return the statistics of each CPU, for Stats.from_bytes."""
        totals = self._dataplane.map("stats")
        return totals.split_per_cpu(totals.lookup(_ZERO))

    def packets_by_cpu(self) -> tuple[int, ...]:
        """Return the packets that each CPU has judged or found known."""
        return tuple(Stats.from_bytes([one]).packets for one in self.stats_by_cpu())

    def runs(self) -> dict[Direction, Runs]:
        """Return the runs of the programs by direction: those while the kernel's BPF statistics were on."""
        totals = dict.fromkeys(Direction, Runs(0, 0))
        for unit, folder in ((TC, ""), (XDP, f"{XDP_FOLDER}/")):
            for name in unit.entries:
                direction = Direction.INGRESS if name.startswith("ingress") else Direction.EGRESS
                with suppress(NotLoadedError), self._dataplane.program(f"{folder}{name}") as program:
                    totals[direction] += runs_of(program)
        return totals

    def settings(self) -> Settings:
        """Return timeouts, event rate and adoption."""
        return self._dataplane.read_settings()

    def now(self) -> int:
        """Return the jiffies that Session.last_seen is compared with."""
        return jiffies_now(self._runner("clock"))

    def sessions(self) -> Iterator[Session]:
        """Yield the sessions that have not timed out, in no order, with what the flow cache has counted."""
        now = self.now()
        for name in _SESSION_MAPS:
            for session in self.sessions_in(name):
                if now - session.last_seen <= session.idle_limit:
                    yield session

    def sessions_in(self, name: str) -> Iterator[Session]:
        """Yield the sessions of one map, timed out ones included until they are replaced.

        While packets pass, what a line hands to its session just now may be missed or seen twice.
        """
        pending = PendingCounts(self._dataplane.map(cache) for cache in CACHES)
        sessions = self._dataplane.map(name)
        found = openings.entries(sessions) if name in openings.OPENINGS else sessions.entries()
        for key, value in found.items():
            yield pending.added_to(key, Session.from_bytes(key, value))

    def count_sessions(self) -> dict[str, int]:
        """Return the entries of each session map, timed out ones included until they are replaced."""
        counts = {name: self._dataplane.map(name).count() for name in ("session4", "session6")}
        return counts | {name: openings.count(self._dataplane.map(name)) for name in openings.OPENINGS}

    def events(self) -> EventReader:
        """Return a reader of events; of two at a time, each sees a part."""
        return EventReader(self._dataplane.map("flow_events"))

    def ask(self, frame: bytes, generation: int) -> Answer:
        """Return what the policy of a generation, live or standby, says about a frame; touches nothing.

        The frame is an Ethernet frame as Runner.run takes it. Older kernels may lose the question when real
        packets come in between; it is asked again then.
        """
        runner = self._runner("probe")
        for _ in range(_ASK_AGAIN):
            nonce = next(self._nonces) & 0xFFFF
            result = runner.run(frame, FrameContext(mark=generation, priority=nonce))
            if result.value == DROP:
                raise KernelError(
                    "the kernel lost the question about a packet: programs of two loads are mixed"
                )
            if result.cb[4] >> 16 == nonce:
                return _answer(*result.cb)
        raise KernelError("the kernel lost the question about a packet again and again", advice="try again")

    def run(
        self,
        frame: bytes,
        direction: Direction = Direction.INGRESS,
        context: FrameContext | None = None,
        repeat: int = 1,
    ) -> RunResult:
        """Send a frame through the live filter, as if it crossed an Ethernet interface (PROG_TEST_RUN)."""
        by_xdp = places_of(self._hook)[direction] is Hook.XDP
        name = f"{XDP_FOLDER}/ingress" if by_xdp else direction.name.lower()
        return self._runner(name).run(frame, context or FrameContext(), repeat)

    def _runner(self, name: str) -> Runner:
        if name not in self._runners:
            program = self._dataplane.program(name)
            runner = XdpRunner if name.startswith(XDP_FOLDER) else Runner
            self._runners[name] = program, runner(program.fd)
        return self._runners[name][1]


def _answer(what: int, rule: int, verdict: int, precedence: int, probes: int) -> Answer:
    """Take the words apart; see ms_rest_of_question in bpf/judge.h."""
    outcome, protocol, port = what & 0xFF, what >> 8 & 0xFF, what >> 16
    if outcome != _NOT_JUDGED:
        return Answer(Outcome(outcome), None)
    return Answer(
        outcome=None,
        verdict=Verdict(verdict & 0xFF),
        rule=rule,
        log=bool(verdict >> 8 & EntryFlag.LOG),
        precedence=precedence,
        probes=probes & 0xFFFF,
        protocol=protocol,
        port=port,
        source_port=verdict >> 16,
    )
