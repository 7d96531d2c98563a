from __future__ import annotations

import ipaddress
from functools import reduce
from operator import or_

from hypothesis import given
from hypothesis import strategies as st

from microseg.policy.addresses import ANY_ADDRESS, ANY_IPV4, NO_ADDRESSES, AddressSet, union

networks = st.lists(
    st.sampled_from(
        ["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3/32", "0.0.0.0/0", "::/0", "2001:db8::/32", "::1/128"]
    ),
    max_size=4,
)
addresses = st.sampled_from(
    [
        ipaddress.ip_address(text)
        for text in ("10.1.2.3", "10.1.2.4", "11.0.0.0", "0.0.0.0", "::", "::1", "2001:db8::9")
    ]
)


@given(networks, networks, addresses)
def test_algebra_is_that_of_membership(
    left: list[str], right: list[str], address: ipaddress.IPv4Address
) -> None:
    a, b = AddressSet.of(*left), AddressSet.of(*right)
    in_a = any(address in ipaddress.ip_network(text) for text in left)
    in_b = any(address in ipaddress.ip_network(text) for text in right)
    assert (address in a) == in_a
    assert (address in a | b) == (in_a or in_b)
    assert (address in a & b) == (in_a and in_b)
    assert (address in a - b) == (in_a and not in_b)
    assert (address in ~a) == (not in_a)
    assert (a <= b) == (not a - b)
    assert a.overlaps(b) == bool(a & b)


@given(st.lists(networks, max_size=4))
def test_a_union_of_many_is_that_of_one_after_the_other(many: list[list[str]]) -> None:
    sets = [AddressSet.of(*texts) for texts in many]
    assert union(sets) == reduce(or_, sets, NO_ADDRESSES)


def test_families_stay_apart() -> None:
    assert AddressSet.of("0.0.0.1") != AddressSet.of("::1")
    assert not ANY_IPV4 & AddressSet.of("::/0")


def test_complement_of_nothing_is_everything() -> None:
    assert ~NO_ADDRESSES == ANY_ADDRESS
    assert not ~ANY_ADDRESS


def test_networks_are_the_fewest() -> None:
    both = AddressSet.of("10.0.0.0/25", "10.0.0.128/25", "2001:db8::/32")
    assert [str(network) for network in both.networks()] == ["10.0.0.0/24", "2001:db8::/32"]


def test_between_includes_both_ends() -> None:
    span = AddressSet.between(ipaddress.ip_address("10.0.0.250"), ipaddress.ip_address("10.0.1.5"))
    assert span.size() == 12
    assert str(span.lowest()) == "10.0.0.250"
