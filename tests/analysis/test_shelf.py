"""Finding named sets without looking at all of them finds what looking at all of them does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from microseg.analysis.shelf import Shelf, only
from microseg.policy import ranges
from microseg.policy.addresses import AddressSet, Family

BOTH, V4 = tuple(Family), (Family.IPV4,)

pairs = st.tuples(st.integers(0, 40), st.integers(0, 12)).map(lambda pair: (pair[0], sum(pair)))
members = st.lists(pairs, max_size=3).map(ranges.normalize)
sets = st.builds(AddressSet, members, members)
shelves = st.lists(sets, max_size=12).map(lambda found: {f"g{at}": each for at, each in enumerate(found)})
families = st.sampled_from([BOTH, V4])


def pieces(addresses: AddressSet) -> int:
    return len(addresses.v4) + len(addresses.v6)


def taken_of_all(named: dict[str, AddressSet], wanted: AddressSet, which: tuple[Family, ...]) -> list[str]:
    """Take the largest sets out of another, one after the other, that don't only make holes."""
    inside = [(name, part) for name, each in named.items() if (part := only(each, which)) and part <= wanted]
    names, rest = [], wanted
    for name, part in sorted(inside, key=lambda each: -each[1].size()):
        left = rest - part
        if left != rest and pieces(left) <= pieces(rest):
            names.append(name)
            rest = left
    return names


def taken(named: dict[str, AddressSet], wanted: AddressSet, which: tuple[Family, ...]) -> list[str]:
    """Do the same with those alone that a shelf offers."""
    candidates = Shelf(named).inside(wanted, which)
    names, rest = [], wanted
    for name, part in candidates:
        left = rest - part
        if left != rest and pieces(left) <= pieces(rest):
            names.append(name)
            rest = left
            candidates.went(part)
    return names


@given(shelves, sets, families)
def test_what_can_be_taken_out_of_a_set_is_found(
    named: dict[str, AddressSet], wanted: AddressSet, which: tuple[Family, ...]
) -> None:
    wanted = only(wanted, which)
    assert taken(named, wanted, which) == taken_of_all(named, wanted, which)


@given(shelves, sets.filter(lambda each: bool(each.v4)), families)
def test_sets_around_another_are_found_the_smallest_first(
    named: dict[str, AddressSet], wanted: AddressSet, which: tuple[Family, ...]
) -> None:
    wanted = only(wanted, which)
    parts = {name: only(each, which) for name, each in named.items()}
    around = sorted((part.size(), name) for name, part in parts.items() if wanted <= part)
    assert [name for name, _ in Shelf(named).around(wanted, which)] == [name for _, name in around]
