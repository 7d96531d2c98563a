"""The kernel and the session model in lockstep: both are told the same, and have to agree after each step."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, replace

from kernel import cache_lines, opening_sets
from kernel.laboratory import SESSION_MAPS, Laboratory
from kernel.session_model import ModelSession, SessionModel
from kernel.session_packets import Kind, Talk, frame_of

from microseg.abi import Root
from microseg.abi_flow import Direction
from microseg.abi_outcome import Outcome
from microseg.abi_session import SessionFlag, State
from microseg.abi_settings import Idle
from microseg.compiler.ids import assign, rule_names
from microseg.policy.rules import OrderedRule, Ruleset, Verdict

LAST_SEEN = struct.Struct("=Q")
LAST_SEEN_OFFSET = 32
AN_HOUR_S = 3600
STEP_S = 100
"""Time passes in multiples of this; timeouts lie between, so the seconds that a test takes don't matter."""
IDLE_S = {
    Idle.TCP_OPENING: 350,
    Idle.TCP_STEADY: 3050,
    Idle.TCP_CLOSING: 550,
    Idle.TCP_CLOSED: 150,
    Idle.UDP_OPENING: 250,
    Idle.UDP_STEADY: 450,
    Idle.ICMP: 150,
    Idle.OTHER: 650,
    Idle.SCTP_OPENING: 350,
    Idle.SCTP_STEADY: 2050,
    Idle.SCTP_CLOSED: 250,
}


@dataclass(frozen=True, slots=True, order=True)
class View:
    """A session as both sides can be asked for it; age in steps of STEP_S."""

    key: str
    established: bool
    state: State
    packets: tuple[int, int]
    octets: tuple[int, int]
    flags: SessionFlag
    generation: int
    rule: int
    verdict: Verdict
    idle_limit_s: int
    age: int


class Lockstep:
    """Drives both sides, from no policy and no sessions on."""

    def __init__(self, lab: Laboratory) -> None:
        lab.clear()
        self._lab = lab
        self._ids: dict[OrderedRule, int] = {}
        self._configure(adopting=False)
        self._counted = self._rule_packets()
        self.model = SessionModel()
        self.model.idle_s |= IDLE_S
        self._other_generation = 0

    def send(
        self, talk: Talk, kind: Kind, direction: Direction, *, by_client: bool, padding: int = 0
    ) -> Outcome:
        """Send a packet; raises AssertionError when kernel and model differ about it."""
        sent = talk.sent(kind, by_client=by_client, padding=padding)
        expected = self.model.send(sent)
        actual = self._lab.send(frame_of(sent, kind), direction).outcome
        assert actual is expected, f"{sent}: the kernel says {actual.name}, the model {expected.name}"
        return actual

    def enforce(self, ruleset: Ruleset) -> None:
        """Put a policy in force, once what a deadline did is the root's own word, as an apply sees to."""
        self._lab.plane.write_root(Root(self.model.generation))
        generation = self._lab.stage_ruleset(ruleset)
        names = rule_names(ruleset.ordered())
        ids = assign("rule", names)
        pairs = list(zip(ruleset.ordered(), names, strict=True))
        # Of rules that say the same, the first one decides.
        self._ids |= {rule: ids[name] for rule, name in reversed(pairs)}
        self._lab.plane.write_root(Root(generation))
        self._other_generation = self.model.generation
        self.model.enforce(generation, ruleset)

    def roll_back(self, *, by_deadline: bool) -> None:
        """Put the policy before in force again, by a store or because a confirmation never came."""
        if not self._other_generation:
            return
        root = Root(self._other_generation)
        if by_deadline:
            root = Root(self.model.generation, self._lab.plane.boot_time_s())
        self._lab.plane.write_root(root)
        self._other_generation, now = self.model.generation, self._other_generation
        self.model.go_back_to(now)

    def move(self) -> None:
        """Have packets meet the next CPU, a second later: until then lines of the former one may answer."""
        (here,), last = cache_lines.cpus(), (os.cpu_count() or 1) - 1
        cache_lines.older(self._lab.plane, self._hz)
        os.sched_setaffinity(0, {here + 1 if here < last else 0})

    def pass_time(self, steps: int) -> None:
        """Have every session be older."""
        self.model.now_s += steps * STEP_S
        jiffies = steps * STEP_S * self._hz
        for name in ("session4", "session6"):
            sessions = self._lab.plane.map(name)
            sessions.update_many({key: older(value, jiffies) for key, value in sessions.entries().items()})
        opening_sets.change_all(self._lab.plane, lambda value: older(value, jiffies))
        cache_lines.older(self._lab.plane, jiffies)

    def adopt(self, *, adopting: bool) -> None:
        """Take connections in progress over from now on, or no more."""
        self._configure(adopting=adopting)
        self.model.adopting = adopting

    def compare(self) -> None:
        """Compare all sessions."""
        kernel, model = self._kernel_sessions(), self._model_sessions()
        assert kernel == model, f"kernel: {kernel}\nmodel: {model}"

    def compare_counters(self) -> None:
        """Compare what each rule has judged since the beginning."""
        counted = self._rule_packets()
        kernel = {rule: n - self._counted.get(rule, 0) for rule, n in counted.items()}
        model: dict[int, int] = {}
        for rule, n in self.model.judged.items():
            model[self._id(rule)] = model.get(self._id(rule), 0) + n
        assert {rule: n for rule, n in kernel.items() if n} == model

    def _configure(self, *, adopting: bool) -> None:
        settings = self._lab.plane.read_settings()
        until = self._lab.plane.boot_time_s() + AN_HOUR_S if adopting else 0
        self._hz = settings.hz
        self._lab.plane.write_settings(
            replace(
                settings,
                idle_s=settings.idle_s | IDLE_S,
                adopt_until_s=until,
                answers_per_s=0,
                events_per_s=0,  # so that what was denied is remembered
            )
        )

    def _rule_packets(self) -> dict[int, int]:
        return {rule: count.packets for rule, count in self._lab.plane.rule_counts().items()}

    def _id(self, rule: OrderedRule | None) -> int:
        return 0 if rule is None else self._ids[rule]

    def _kernel_sessions(self) -> list[View]:
        now = self._lab.flows.now()
        return sorted(
            View(
                key=f"{session.protocol} {session.client} {session.server}",
                established=name.startswith("session"),
                state=session.state,
                packets=session.packets,
                octets=session.octets,
                flags=session.flags & ~SessionFlag.CLIENT_IS_SECOND,
                generation=session.generation,
                rule=session.rule,
                verdict=session.verdict,
                idle_limit_s=session.idle_limit // self._hz,
                age=(now + self._hz - session.last_seen) // self._hz // STEP_S,
            )
            for name in SESSION_MAPS
            for session in self._lab.flows.sessions_in(name)
        )

    def _model_sessions(self) -> list[View]:
        return sorted(self._view(session) for session in self.model.sessions.values())

    def _view(self, session: ModelSession) -> View:
        return View(
            key=f"{session.protocol} {session.client} {session.server}",
            established=session.established,
            state=session.state,
            packets=(session.packets[0], session.packets[1]),
            octets=(session.octets[0], session.octets[1]),
            flags=session.flags,
            generation=session.generation,
            rule=self._id(session.rule),
            verdict=session.verdict,
            idle_limit_s=session.idle_limit_s,
            age=(self.model.now_s - session.seen_s) // STEP_S,
        )


def older(value: bytes, jiffies: int) -> bytes:
    """Return a session as if its last packet had been so much earlier."""
    (seen,) = LAST_SEEN.unpack_from(value, LAST_SEEN_OFFSET)
    return (
        value[:LAST_SEEN_OFFSET] + LAST_SEEN.pack(seen - jiffies) + value[LAST_SEEN_OFFSET + LAST_SEEN.size :]
    )
