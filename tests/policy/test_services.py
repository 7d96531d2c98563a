from __future__ import annotations

from functools import reduce
from operator import or_

from hypothesis import given
from hypothesis import strategies as st

from microseg.policy.services import ANY_SERVICE, NO_SERVICE, Protocol, ServiceSet, union

ports = st.sampled_from([0, 1, 2, 80, 81, 65534, 65535])
port_ranges = st.tuples(ports, ports).map(lambda pair: (min(pair), max(pair)))
protocols = st.sampled_from([0, 1, 6, 7, 17, 255])
services = st.lists(st.builds(ServiceSet.of, protocols, port_ranges, port_ranges), max_size=3).map(union)
fields = st.tuples(protocols, ports, ports)


@given(services, services, fields)
def test_algebra_is_that_of_membership(a: ServiceSet, b: ServiceSet, packet: tuple[int, int, int]) -> None:
    in_a, in_b = a.contains(*packet), b.contains(*packet)
    assert (a | b).contains(*packet) == (in_a or in_b)
    assert (a & b).contains(*packet) == (in_a and in_b)
    assert (a - b).contains(*packet) == (in_a and not in_b)
    assert a.overlaps(b) == bool(a & b)
    assert (a <= b) == (not a - b)


@given(services, services)
def test_equal_sets_have_one_form(a: ServiceSet, b: ServiceSet) -> None:
    assert (a - b) | (a & b) == a
    assert (a | b) == (b | a)
    assert (ANY_SERVICE - a) | a == ANY_SERVICE
    assert not (ANY_SERVICE - a) & a


@given(st.lists(services, max_size=4))
def test_a_union_of_many_is_that_of_one_after_the_other(many: list[ServiceSet]) -> None:
    assert union(many) == reduce(or_, many, NO_SERVICE)


@given(services)
def test_lowest_is_a_member(a: ServiceSet) -> None:
    if a:
        assert a.contains(*a.lowest())


def test_any_holds_every_protocol() -> None:
    assert ANY_SERVICE.contains(0, 0, 0)
    assert ANY_SERVICE.contains(255, 65535, 65535)
    assert ServiceSet.of(Protocol.SCTP) <= ANY_SERVICE
