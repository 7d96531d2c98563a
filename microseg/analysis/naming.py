"""Sets in the words of a policy: by a name where one fits, else in as few terms as are easily found.

Addresses come out as the language writes them (`web | app`, `any - 10.1.2.7`), services too, except that
almost everything is told by what is missing (`any except tcp/22`).
"""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from microseg.analysis import service_text
from microseg.analysis.rectangles import real
from microseg.analysis.shelf import Families, Shelf, only
from microseg.policy import ranges
from microseg.policy.addresses import ANY_ADDRESS, ANY_IPV4, ANY_IPV6, AddressSet, Family
from microseg.policy.rules import ANY_NAMED_SERVICE, NamedSet

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from microseg.policy.ranges import Range, Ranges
    from microseg.policy.rules import NamedService
    from microseg.policy.services import ServiceSet

_NAME = re.compile(r"[A-Za-z_][\w.-]*")
_BUILT_IN = (NamedSet("any", ANY_ADDRESS), NamedSet("any4", ANY_IPV4), NamedSet("any6", ANY_IPV6))
_LITERAL = 3
"""What something spelled out costs."""

_BOTH = tuple(Family)
_WHOLE = {Family.IPV4: "any4", Family.IPV6: "any6"}
_AROUND = 3
"""How many of the named sets around another are tried for `NAME - ...`."""


class Words(NamedTuple):
    """A text for a set.

    Attributes:
        cost: the lower, the more readable: 1 for each name, more for what is spelled out.
        text: in the policy's language.
        beyond: whether the text also has addresses of a family that doesn't matter.

    """

    cost: int
    text: str
    beyond: bool = False


class AddressNames:
    """The named sets of addresses of a policy."""

    def __init__(self, sets: Iterable[NamedSet]) -> None:
        self._known = {each.name: each.addresses for each in _in_order([*sets, *_BUILT_IN])}
        self._exact: dict[tuple[Family, Ranges], list[str]] = {}
        for name, addresses in self._known.items():
            for family in Family:
                self._exact.setdefault((family, addresses.family(family)), []).append(name)
        # An expression of one range is no better than that range.
        useful = (
            (name, addresses)
            for name, addresses in self._known.items()
            if _NAME.fullmatch(name) or _count(addresses) > 1
        )
        self._shelf = Shelf(dict(useful))
        self._words: dict[tuple[AddressSet, Families], Words] = {}

    def pair(self, src: AddressSet, dst: AddressSet) -> tuple[str, str]:
        """Return texts for both ends of a product: for just its packets, whose ends are of one family."""
        families = tuple(family for family in Family if src.family(family) and dst.family(family))
        mine, theirs = self._in_words(src, families), self._in_words(dst, families)
        if not (mine.beyond and theirs.beyond):
            return mine.text, theirs.text
        names = self.name(only(src, families)), self.name(only(dst, families))
        if any(names):
            return names[0] or mine.text, names[1] or theirs.text
        return f"{_operand(mine.text)} & {_WHOLE[families[0]]}", theirs.text

    def cost(self, src: AddressSet, dst: AddressSet) -> int:
        """Return what it costs a reader to take in both ends of a product; the lower, the better."""
        families = tuple(family for family in Family if src.family(family) and dst.family(family))
        return self._in_words(src, families).cost + self._in_words(dst, families).cost

    def name(self, addresses: AddressSet, families: Families = _BOTH) -> str | None:
        """Return the name of a set of which only the addresses of some families (at least one) matter."""
        fitting = [self._exact.get((family, addresses.family(family)), []) for family in families]
        return next((name for name in fitting[0] if all(name in names for names in fitting[1:])), None)

    def _in_words(self, addresses: AddressSet, families: Families) -> Words:
        """Return words for a set of which only the addresses of some families (at least one) matter."""
        name = self.name(addresses, families)
        if name:
            cost = 1 if _NAME.fullmatch(name) else _LITERAL
            return Words(cost, name, self._reaches_beyond([name], families))
        wanted = only(addresses, families)
        key = wanted, families
        if key not in self._words:
            spelled_out = _written(_texts(wanted), [])
            best = min(spelled_out, self._united(wanted, families, spelled_out.cost) or spelled_out)
            self._words[key] = min(best, *self._diminished(wanted, families, best.cost))
        return self._words[key]

    def _united(self, wanted: AddressSet, families: Families, most: int) -> Words | None:
        """Return a set as a union of named ones, and of what they leave; None if it takes more than most."""
        rest, names = wanted, []
        candidates = self._shelf.inside(wanted, families)
        for name, part in candidates:
            left = rest - part
            gain = _count(rest) - _count(left)
            if left != rest and gain >= (0 if _NAME.fullmatch(name) else 2):
                rest = left
                candidates.went(part)
                names.append(name)
                if len(names) > most:
                    return None
        return _written(_texts(rest), names)._replace(beyond=self._reaches_beyond(names, families))

    def _diminished(self, wanted: AddressSet, families: Families, most: int) -> list[Words]:
        """Return a set as named ones around it without what is too much, in no more than most."""
        around = (each for each in self._shelf.around(wanted, families) if _NAME.fullmatch(each[0]))
        found: list[Words] = []
        for name, part in islice(around, _AROUND):
            too_much = self._united(part - wanted, families, most)
            if too_much:
                words = f"{name} - {_operand(too_much.text)}"
                found.append(Words(too_much.cost + 1, words, self._reaches_beyond([name], families)))
        return found

    def _reaches_beyond(self, names: Iterable[str], families: Families) -> bool:
        return any(only(self._known[name], families) != self._known[name] for name in names)


def _operand(text: str) -> str:
    """Return a text as one side of an operator: in parentheses, unless it is one word or has them already."""
    if " " not in text or _is_enclosed(text):
        return text
    return f"({text})"


def _is_enclosed(text: str) -> bool:
    """Say whether the first parenthesis of a text closes at its end."""
    depth = 0
    for at, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return at > 0 and at == len(text) - 1
    return False


def _in_order(named: Iterable[NamedSet]) -> list[NamedSet]:
    """Sort by name: names before expressions, short ones first."""
    return sorted(named, key=lambda each: (not _NAME.fullmatch(each.name), len(each.name), each.name))


def _written(texts: Sequence[str], names: Sequence[str]) -> Words:
    return Words(len(names) + _LITERAL * len(texts), " | ".join([*names, *texts]))


def _count(addresses: AddressSet) -> int:
    return len(addresses.v4) + len(addresses.v6)


def _texts(addresses: AddressSet) -> list[str]:
    return [_text(family, each) for family in Family for each in addresses.family(family)]


def _text(family: Family, low_high: Range) -> str:
    """Return an address, a CIDR or a range."""
    blocks = list(islice(ranges.prefixes((low_high,), family.bits), 2))
    if len(blocks) > 1:
        return f"{family.address(low_high[0])} - {family.address(low_high[1])}"
    if low_high[0] == low_high[1]:
        return str(family.address(low_high[0]))
    return str(family.network(*blocks[0]))


class ServiceNames:
    """The named services of a policy."""

    def __init__(self, services: Iterable[NamedService]) -> None:
        known = {each.name: real(each.services) for each in [*services, ANY_NAMED_SERVICE]}
        self._everything = known[ANY_NAMED_SERVICE.name]
        self._known = dict(
            sorted(known.items(), key=lambda each: (not _NAME.fullmatch(each[0]), len(each[0])))
        )
        self._words: dict[ServiceSet, Words] = {}
        for name, service in self._known.items():
            self._words.setdefault(service, Words(1 if _NAME.fullmatch(name) else _LITERAL, name))

    def words(self, service: ServiceSet) -> Words:
        """Return words for a service."""
        wanted = real(service)
        if wanted not in self._words:
            missing = self._united(self._everything - wanted)
            self._words[wanted] = min(
                self._united(wanted),
                _listed((), service_text.terms(wanted)),
                Words(missing.cost + 1, f"any except {missing.text}"),
            )
        return self._words[wanted]

    def _united(self, wanted: ServiceSet) -> Words:
        """Return a service as a union of named ones, and of what they leave."""
        rest, names = wanted, []
        for name, service in self._known.items():
            if _NAME.fullmatch(name) and service and service <= rest:
                rest -= service
                names.append(name)
        return _listed(names, service_text.terms(rest))


def _listed(names: Sequence[str], terms: Sequence[str]) -> Words:
    return Words(len(names) + _LITERAL * len(terms), ", ".join([*names, *terms]))
