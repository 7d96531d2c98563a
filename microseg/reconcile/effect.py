"""What a plan does to traffic: which packets get something else, and which live sessions are cut."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from microseg.analysis.difference import compare
from microseg.compiler import containment
from microseg.compiler.interpret import probe, services_of
from microseg.policy.addresses import Family
from microseg.policy.packet import Packet
from microseg.policy.services import Protocol
from microseg.reconcile.enforced import ruleset_in_force

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from microseg.abi_session import Session
    from microseg.analysis.difference import Change
    from microseg.compiler.image import Image, Prefix
    from microseg.compiler.interpret import Search
    from microseg.policy.addresses import IPAddress
    from microseg.policy.rules import Ruleset, Verdict
    from microseg.reconcile.desired import Desired
    from microseg.reconcile.records import Attribution, Names
    from microseg.reconcile.transaction import Transaction

ECHO_REQUEST = {Protocol.ICMP: 8 << 8, Protocol.ICMPV6: 128 << 8}
"""What a session of pings was opened by, as a port."""

_ENDS = {Protocol.TCP, Protocol.UDP, Protocol.SCTP}


@dataclass(frozen=True, slots=True)
class Cut:
    """A live session whose next packet is refused.

    Attributes:
        packet: what opened it.
        verdict: what that gets from now on.
        before: the rule that has let it pass, as far as it is known.
        after: the rule that refuses it, as far as it is known.

    """

    packet: Packet
    verdict: Verdict
    before: Attribution | None
    after: Attribution | None


@dataclass(frozen=True, slots=True)
class Sessions:
    """How many live sessions there are, and those that are cut."""

    live: int
    cut: tuple[Cut, ...]


@dataclass(frozen=True, slots=True)
class Effect:
    """What changes for packets, and for live sessions (None: there is no kernel to ask)."""

    changes: tuple[Change, ...]
    sessions: Sessions | None = None


def of_transaction(tx: Transaction, sessions: Iterable[Session] | None) -> Effect:
    """Return what an apply of a proposal does; sessions are those of the kernel."""
    desired, names = tx.desired, _names(tx)
    if not tx.plan.replaces_policy:
        return Effect((), _unharmed(sessions))
    before = ruleset_in_force(tx.observed, tx.live, names)
    changes = compare(before, _ruleset(desired))
    return Effect(tuple(changes), None if sessions is None else cut(desired, sessions, tx.known.names))


def of_revisions(base: Desired, desired: Desired) -> Effect:
    """Return what the step from one policy to another does."""
    if base.contents.config.digest == desired.contents.config.digest:
        return Effect(())
    return Effect(tuple(compare(_ruleset(base), _ruleset(desired))))


def cut(desired: Desired, sessions: Iterable[Session], old_names: Names) -> Sessions:
    """Return the sessions that the desired policy doesn't allow any more, each judged as its opener was."""
    assert desired.compilation is not None
    assert desired.compilation.image is not None, "only a policy without errors is planned"
    judge = Judge(desired.compilation.image)
    found: list[Cut] = []
    live = 0
    for session in sessions:
        live += 1
        packet = opener(session)
        search = judge.search(packet)
        if not search.verdict.passes:
            before, after = old_names.rules.get(session.rule), desired.names.rules.get(search.rule_id)
            found.append(Cut(packet, search.verdict, before, after))
    return Sessions(live, tuple(found))


def opener(session: Session) -> Packet:
    """Return the packet that a session is judged by again when the policy changes."""
    (client, client_port), (server, server_port) = session.client, session.server
    if session.protocol in ECHO_REQUEST:
        return Packet(client, server, session.protocol, ECHO_REQUEST[Protocol(session.protocol)])
    if session.protocol not in _ENDS:
        return Packet(client, server, session.protocol)
    return Packet(client, server, session.protocol, server_port, client_port)


class Judge:
    """Judges many packets by an image: each address and each question is looked into once."""

    def __init__(self, image: Image) -> None:
        self._image = image
        self._tables = {Family.IPV4: _Table(image.ipv4, 32), Family.IPV6: _Table(image.ipv6, 128)}
        self._sets: dict[IPAddress, tuple[int, ...]] = {}
        self._known: dict[tuple[tuple[int, ...], ...], Search] = {}

    def search(self, packet: Packet) -> Search:
        """Return what `interpret.search` does."""
        question = self._sets_of(packet.src), self._sets_of(packet.dst), services_of(self._image, packet)
        if question not in self._known:
            self._known[question] = probe(self._image, *question)
        return self._known[question]

    def _sets_of(self, address: IPAddress) -> tuple[int, ...]:
        if address not in self._sets:
            self._sets[address] = self._tables[Family(address.version)].find(int(address))
        return self._sets[address]


class _Table:
    """A longest-prefix-match table of set ids, as disjoint ranges."""

    def __init__(self, prefixes: Mapping[Prefix, tuple[int, ...]], bits: int) -> None:
        self._pieces = list(containment.pieces(prefixes, bits))

    def find(self, number: int) -> tuple[int, ...]:
        at = bisect_right(self._pieces, number, key=lambda piece: piece[0][0]) - 1
        if at < 0 or self._pieces[at][0][1] < number:
            return ()
        return self._pieces[at][1]


def _unharmed(sessions: Iterable[Session] | None) -> Sessions | None:
    return None if sessions is None else Sessions(sum(1 for _ in sessions), ())


def _ruleset(desired: Desired) -> Ruleset:
    assert desired.compilation is not None, "only what was compiled from text is compared"
    return desired.compilation.ruleset


def _names(tx: Transaction) -> Names:
    """Return the names of what is in force, those of sets and services also as the desired policy has them.

    Their numbers are made of their names, so they mean the same. Where unknown rules stand is not guessed.
    """
    known, desired = tx.known.names, tx.desired.names
    return replace(
        known, sets={**desired.sets, **known.sets}, services={**desired.services, **known.services}
    )
