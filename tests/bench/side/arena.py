"""All contestants at once, each on a receiver of its own, measured in rounds that take turns."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median, quantiles

from bench.side.contestant import Contestant, Place, Rules
from bench.side.flows import STRANGERS, Sender, Stream
from bench.side.lab import CommandError, Receiver, laboratory
from bpf_mount import bpf_file_system

from microseg.bench.generator import generator

ROUND_NS = 120_000_000
"""A round of one contestant takes about so long, whatever it costs."""
FEWEST, MOST = 64, 300_000
"""Packets of a round."""
PROMISED = 3
"""What a limit is about is measured so many times as often: no burst of a neighbour's load decides it."""
FEW = 64
"""Packets that show what passes."""
STRAYS = 4
"""Packets of a host's own, such as multicast reports, in a round."""
PORTION = 50_000
"""Flows that are opened at once: what isn't answered yet must not push out each other."""
PORTS = 64_000
"""Flows of one client."""
SESSIONS = 120_000
"""What a filter must be able to remember unless more is asked for."""
RULES = 10_000
"""What it must be able to enforce unless more is asked for."""
_CONNECTIONS, _BUCKETS = 8_000_000, 4_194_304
_MAX = Path("/proc/sys/net/netfilter/nf_conntrack_max")
_HASHSIZE = Path("/sys/module/nf_conntrack/parameters/hashsize")


class UnequalError(Exception):
    """A contestant lets pass what others don't, or the other way round: nothing to compare."""


@dataclass(frozen=True)
class Taken:
    """Nanoseconds a packet, round by round."""

    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return median(self.rounds)

    @property
    def quartiles(self) -> tuple[float, float]:
        """The lower and the upper one."""
        if len(self.rounds) < 2:
            return self.median, self.median
        low, _, high = quantiles(self.rounds, n=4, method="inclusive")
        return low, high

    def over(self, other: Taken) -> float:
        """Return what this takes more, compared round by round."""
        return median(mine - theirs for mine, theirs in zip(self.rounds, other.rounds, strict=True))

    def times(self, other: Taken) -> float:
        """Return how many times as long this takes, compared round by round."""
        return median(mine / theirs for mine, theirs in zip(self.rounds, other.rounds, strict=True))


@dataclass(frozen=True)
class Entry:
    """A contestant and its receiver."""

    contestant: Contestant
    receiver: Receiver

    @property
    def name(self) -> str:
        """The contestant's."""
        return self.contestant.name


class Arena:
    """The contestants, set up."""

    def __init__(self, sender: Sender, entries: Sequence[Entry], rounds: int) -> None:
        self._sender = sender
        self.sender = sender.inside
        self.entries = list(entries)
        self._rounds = rounds

    def install(self, rules: Rules) -> None:
        """Give all of them the rules and see that they follow them; those that can't load them leave."""
        for entry in list(self.entries):
            try:
                entry.contestant.install(rules)
                self._prove(entry, rules)
            except (CommandError, subprocess.TimeoutExpired) as error:
                say(f"  {entry.name} is left out at {rules.count:,} rules: {error}")
                self.entries.remove(entry)

    def _prove(self, entry: Entry, rules: Rules) -> None:
        """See that each of the last clients is let in, and none after them."""
        for version in (4, 6):
            clients = list(rules.clients(version))
            allowed = Stream(version, 0, 1, clients[-1])
            strangers = Stream(version, 0, FEW, STRANGERS[version])
            passed = [self._passing(entry, stream, FEW) for stream in (allowed, strangers)]
            lets = entry.contestant.lets
            wanted = [lets.passing(FEW, allowed=True), lets.passing(FEW, allowed=False)]
            if any(_differ(*both) for both in zip(passed, wanted, strict=True)):
                raise UnequalError(f"{entry.name} lets pass {passed} of {FEW} and {FEW} at {rules}")
        entry.contestant.forget()

    def _passing(self, entry: Entry, stream: Stream, packets: int) -> int:
        before = entry.receiver.passed()
        self._sender.send(entry.receiver, stream, packets)
        return entry.receiver.passed() - before

    def establish(self, stream: Stream) -> None:
        """Have every contestant that remembers flows see packets of them all from both sides."""
        for entry in self.entries:
            left, now = stream.flows if entry.contestant.stateful else 0, stream
            while left > 0:
                portion = min(left, PORTION)
                _, after = self._sender.send(entry.receiver, now, portion)
                self._sender.answer(entry.receiver, now, portion)
                self._sender.send(entry.receiver, now, portion)
                left, now = left - portion, after

    def measure(self, stream: Stream, *, allowed: bool = True, promised: bool = False) -> dict[str, Taken]:
        """Send the same to each in turn, round by round; the first ones say how many packets.

        What is measured is traffic that goes on: a packet of each flow comes before those that are timed, for
        it was long ago that this contestant had its turn.
        """
        times: dict[str, list[float]] = {entry.name: [] for entry in self.entries}
        positions = dict.fromkeys(times, stream)
        packets = dict.fromkeys(times, FEWEST)
        rounds = self._rounds * (PROMISED if promised else 1)
        for number in range(-2, rounds):
            for entry in self.entries:
                taken = self._round(entry, positions, packets[entry.name], allowed=allowed)
                packets[entry.name] = max(FEWEST, min(MOST, int(ROUND_NS / taken)))
                if number >= 0:
                    times[entry.name].append(taken)
        return {name: Taken(tuple(rounds)) for name, rounds in times.items()}

    def _round(self, entry: Entry, positions: dict[str, Stream], packets: int, *, allowed: bool) -> float:
        stream = positions[entry.name]
        if not stream.flows and stream.start + packets > stream.hosts * PORTS:
            stream = replace(stream, start=0)
        _, stream = self._sender.send(entry.receiver, stream, min(stream.flows, MOST))
        before = entry.receiver.passed()
        taken, positions[entry.name] = self._sender.send(entry.receiver, stream, packets)
        passed = entry.receiver.passed() - before
        wanted = entry.contestant.lets.passing(packets, allowed=allowed)
        if _differ(passed, wanted):
            raise UnequalError(f"{entry.name} let {passed} of {packets} pass, not {wanted}")
        if not stream.flows:
            entry.contestant.forget()
        return float(max(taken, 1))


def _differ(passed: int, wanted: int) -> bool:
    """Say whether a contestant let too many pass or too few; a host sends some of its own."""
    return abs(passed - wanted) > STRAYS + wanted // 1000


@contextmanager
def arena(
    contestants: Sequence[Contestant], rounds: int, *, sessions: int = SESSIONS, rules: int = RULES
) -> Iterator[Arena]:
    """Set all of them up; nothing of it is left afterwards."""
    with ExitStack() as stack:
        stack.enter_context(_many_connections(_BUCKETS if sessions > SESSIONS else 0))
        stack.callback(os.sched_setaffinity, 0, os.sched_getaffinity(0))
        pins = stack.enter_context(_bpffs())
        lab = stack.enter_context(laboratory(*(contestant.name for contestant in contestants)))
        sending = stack.enter_context(generator(pins / "generator"))
        entries = []
        for number, contestant in enumerate(contestants):
            say(f"  {contestant.name}")
            receiver = lab.receivers[contestant.name]
            contestant.set_up(Place(receiver, pins / f"c{number}", sessions, rules, stack))
            entries.append(Entry(contestant, receiver))
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        yield Arena(Sender(sending, lab.sender), entries, rounds)


@contextmanager
def _bpffs() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bench-side-") as folder, bpf_file_system(Path(folder)) as pins:
        yield pins


@contextmanager
def _many_connections(buckets: int) -> Iterator[None]:
    """Give connection tracking room for all contestants; its limits are those of the whole machine."""
    if not _MAX.exists() and shutil.which("modprobe"):
        subprocess.run(["modprobe", "--quiet", "nf_conntrack"], check=False)
    with ExitStack() as stack:
        for path, least in ((_HASHSIZE, buckets), (_MAX, _CONNECTIONS)):
            before = int(path.read_text(encoding="ascii")) if path.exists() else least
            if before < least:
                stack.callback(path.write_text, str(before), encoding="ascii")
                path.write_text(str(least), encoding="ascii")
        yield


def say(text: str) -> None:
    """Tell whoever waits."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
