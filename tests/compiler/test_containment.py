from __future__ import annotations

from random import Random
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from microseg import tables
from microseg.compiler import containment
from microseg.compiler.image import Prefix
from microseg.compiler.interpret import longest_match
from microseg.policy import ranges
from microseg.policy.services import ServiceSet, union

BITS = 6
numbers = st.integers(0, (1 << BITS) - 1)
number_sets = st.frozensets(numbers).map(lambda s: ranges.normalize((n, n) for n in s))
ports = st.sampled_from([0, 1, 7, 80, 1024, 65535])
port_ranges = st.tuples(ports, ports).map(lambda pair: (min(pair), max(pair)))
services = st.lists(
    st.builds(ServiceSet.of, st.sampled_from([6, 17]), port_ranges, port_ranges), min_size=1, max_size=3
).map(union)


@given(st.lists(number_sets, max_size=6), numbers)
def test_the_longest_block_names_every_set_that_contains_the_number(
    sets: list[ranges.Ranges], number: int
) -> None:
    table = containment.of_ranges(enumerate(sets, start=1), BITS)
    expected = tuple(i for i, members in enumerate(sets, start=1) if ranges.contains(members, number))
    assert (longest_match(table, number, BITS) or ()) == expected


def test_a_narrower_block_names_what_the_wider_one_does() -> None:
    wide = ((0, 63),)
    narrow = ((8, 8),)
    table = containment.of_ranges([(1, wide), (2, narrow)], BITS)
    assert table == {Prefix(0, 0): (1,), Prefix(8, BITS): (1, 2)}


spans = st.tuples(numbers, numbers).map(lambda pair: (min(pair), max(pair)))
SETS = st.dictionaries(st.integers(1, 9), st.lists(spans, max_size=2).map(ranges.normalize), max_size=9)


@given(st.lists(SETS, max_size=4), st.sampled_from([0, tables.MANY]))
def test_a_table_worked_out_again_is_as_one_worked_out_at_once(
    turns: list[dict[int, ranges.Ranges]], many: int
) -> None:
    again: containment.Nested[int] = containment.Nested(BITS)
    known: dict[tuple[int, ranges.Ranges], dict[Prefix, frozenset[int]]] = {}
    for sets in turns:
        for each in sets.items():
            known.setdefault(each, containment.standing(containment.blocks(each[1], BITS), each[0]))
        with patch.object(tables, "MANY", many), patch.object(containment, "FEW", 99):
            found = again.of([known[each] for each in sets.items()])
            assert again.of([known[each] for each in sets.items()]) is found
        assert found == containment.of_ranges(sets.items(), BITS)


def tables_of(services: list[ServiceSet]) -> containment.ServiceTables:
    return containment.Services().of(dict(enumerate(services, start=1)))


@given(st.lists(services, max_size=4), st.sampled_from([6, 17]), ports, ports)
def test_elements_of_both_sides_find_each_service_once(
    named: list[ServiceSet], protocol: int, port: int, source_port: int
) -> None:
    by_destination, by_source, _ = tables_of(named)
    destination = longest_match(by_destination, protocol << 16 | port, containment.TARGET_BITS) or ()
    source = longest_match(by_source, protocol << 16 | source_port, containment.TARGET_BITS) or ()
    found = [e.service_id for e in destination if e.low <= source_port <= e.high]
    found += [e.service_id for e in source if e.low <= port <= e.high]
    expected = [i for i, s in enumerate(named, start=1) if s.contains(protocol, port, source_port)]
    assert sorted(found) == expected


def test_services_without_source_ports_need_no_second_lookup() -> None:
    assert not tables_of([ServiceSet.of(6), ServiceSet.of(17, (53, 53))]).by_source


def test_a_source_port_alone_stands_on_the_source_side() -> None:
    by_destination, by_source, _ = tables_of([ServiceSet.of(17, (0, 65535), (53, 53))])
    assert not by_destination
    assert list(by_source) == [Prefix(17 << 16 | 53, 24)]


def test_pieces_have_the_value_of_the_longest_prefix() -> None:
    bits = 6
    for seed in range(200):
        rng = Random(seed)
        table: dict[Prefix, int] = {}
        for value in range(rng.randint(0, 12)):
            length = rng.randint(0, bits)
            table[Prefix(rng.randrange(1 << length) << bits - length, length)] = value
        found = list(containment.pieces(table, bits))
        values = {number: value for (low, high), value in found for number in range(low, high + 1)}
        assert [low_high for low_high, _ in found] == sorted(low_high for low_high, _ in found)
        assert sum(high - low + 1 for (low, high), _ in found) == len(values), "no number is in two pieces"
        for number in range(1 << bits):
            assert values.get(number) == longest_match(table, number, bits), (seed, number)
