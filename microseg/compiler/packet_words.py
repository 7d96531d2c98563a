"""Packets in the language's words: `web -> db`, or one, `10.1.1.5 -> 10.1.3.10 : tcp/5432 from 40000`.

They are read as the flow of an expectation, so everything the language has is understood, names of the policy
too.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from microseg.compiler.resolve import resolve
from microseg.diagnostics import has_errors
from microseg.lang import ast
from microseg.lang.files import parse_tree
from microseg.lang.parser import parse
from microseg.policy import ranges
from microseg.policy.packet import Packet
from microseg.policy.services import Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from microseg.diagnostics import Diagnostic
    from microseg.policy.addresses import IPAddress
    from microseg.policy.rules import Expectation, NamedService, NamedSet
    from microseg.source import SourceTree, Span

PATH = "packet"
"""The file name under which the text appears in diagnostics."""
SOURCE_PORT = 40_000
"""Source port of a packet whose text names none."""

_BEFORE, _BEHIND = 'test "one packet" { expect allow ', " }"


class PacketTextError(Exception):
    """The text doesn't stand for one packet.

    Attributes:
        message: why, in one line.
        advice: what to write instead; may be empty.
        diagnostics: where the text is wrong; its path is PATH.

    """

    def __init__(self, message: str, advice: str = "", diagnostics: Sequence[Diagnostic] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice
        self.diagnostics = tuple(diagnostics)


def read_packet(text: str, tree: SourceTree) -> Packet:
    """Return the packet that the text stands for, with the names of a policy; raises PacketTextError."""
    expectation = read_flow(text, tree)
    src = _address(expectation.src)
    dst = _address(expectation.dst)
    if src.version != dst.version:
        raise PacketTextError(f"{src} and {dst} are of two address families")
    protocol, port = _target(expectation.service)
    if protocol not in set(Protocol) or Protocol(protocol).is_icmp:
        return Packet(src, dst, protocol, port)
    services = expectation.service.services
    chosen = services.contains(protocol, port, SOURCE_PORT)
    return Packet(src, dst, protocol, port, SOURCE_PORT if chosen else services.lowest()[2])


def read_flow(given: str, tree: SourceTree) -> Expectation:
    """Return the packets that a text stands for, as an expectation of them; raises PacketTextError."""
    text = " ".join(given.split())
    if "->" not in text:
        raise PacketTextError(
            f"`{text}` has no `->`", "write it in quotes, for the shell: '10.1.1.5 -> 10.1.3.10 : tcp/443'"
        )
    file, found = parse(PATH, f"{_BEFORE}{text}{_BEHIND}")
    if not found and not _is_one_way(file):
        raise PacketTextError(f"`{text}` is not a packet", "write SOURCE -> DESTINATION : SERVICE")
    resolution = resolve((file, *parse_tree(tree).files), tree)
    found += [each for each in resolution.diagnostics if each.span.path == PATH]
    if has_errors(found):
        raise PacketTextError(f"`{text}` is not a packet", "", [_moved(each) for each in found])
    own = [each for test in resolution.ruleset.tests for each in test.expectations if each.span.path == PATH]
    if not own:
        raise PacketTextError(f"`{text}` needs a part of the policy that is wrong", "microseg lint shows it")
    return own[0]


def _is_one_way(file: ast.File) -> bool:
    match file.statements:
        case (ast.Test(expectations=(ast.Expectation(flow=flow),)),):
            return not flow.both_ways
        case _:
            return False


def _address(named: NamedSet) -> IPAddress:
    size = named.addresses.size()
    if size != 1:
        advice = f"name one of them, such as {named.addresses.lowest()}" if size else ""
        raise PacketTextError(f"`{named.name}` is {size} addresses, and a packet has one", advice)
    return named.addresses.lowest()


def _target(named: NamedService) -> tuple[int, int]:
    """Return protocol and port; an ICMP type without a code gets code 0, a protocol without ports port 0."""
    targets = named.services.targets()
    protocols = {end >> 16 for span in targets for end in span}
    if len(protocols) != 1:
        raise PacketTextError(f"`{named.name}` is more than one protocol", "add a service, such as : tcp/443")
    (protocol,) = protocols
    port = targets[0][0] & 0xFFFF
    if protocol not in set(Protocol):
        return protocol, 0
    name = Protocol(protocol).name.lower()
    if not Protocol(protocol).is_icmp:
        if ranges.size(targets) != 1:
            raise PacketTextError(f"`{named.name}` is more than one port", f"name one, such as {name}/{port}")
        return protocol, port
    if targets[0][0] >> 8 != targets[-1][1] >> 8:
        raise PacketTextError(
            f"`{named.name}` is more than one type", f"name one, such as {name}/{port >> 8}"
        )
    return protocol, port


def _moved(diagnostic: Diagnostic) -> Diagnostic:
    """Return it with the columns of the text as it was given."""
    labels = tuple(replace(label, span=_move(label.span)) for label in diagnostic.labels)
    return replace(diagnostic, span=_move(diagnostic.span), labels=labels)


def _move(span: Span) -> Span:
    if span.path != PATH:
        return span
    back = len(_BEFORE)
    column = max(span.column - back, 1)
    return span._replace(column=column, end_column=max(span.end_column - back, column))
