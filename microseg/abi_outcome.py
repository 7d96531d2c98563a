"""What becomes of a packet: one table for the C program, the statistics, the events and the documentation.

Every packet ends in exactly one outcome, and the program counts it there, so the sum over all outcomes is
the number of packets seen.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Self

OUTCOME_SLOTS = 64
"""Counters in the statistics; numbers below FIRST_DROP pass."""

FIRST_DROP = 24


class Outcome(IntEnum):
    """How a packet left the program. The number is the counter's index; a number is never reused."""

    meaning: str

    def __new__(cls, number: int, meaning: str = "") -> Self:
        """Make a member of a number and the sentence the operator reads."""
        member = int.__new__(cls, number)
        member._value_ = number
        member.meaning = meaning
        return member

    PASS_SESSION = 1, "belongs to a session that this policy allows"
    PASS_NEW = 2, "allowed by a rule or the default, which opened a session"
    PASS_REJUDGED = 3, "of a session that an earlier policy allowed, and so does this one"
    PASS_STATELESS = 4, "allowed by itself, without opening a session"
    PASS_AUDIT = 5, "would be denied, but the policy is in audit mode"
    PASS_ADOPTED = 6, "of a TCP connection older than the enforcement, allowed and taken over"
    PASS_NO_POLICY = 7, "no policy is in force"
    PASS_ARP = 8, "ARP passes unasked"
    PASS_NEIGHBOUR = 9, "IPv6 neighbour and router discovery passes unasked"
    PASS_MULTICAST_LISTENER = 10, "IPv6 multicast listener discovery passes unasked"
    PASS_FRAGMENT = 11, "a later fragment of a packet that passed"
    PASS_ICMP_ERROR = 12, "an ICMP error that quotes a packet of a session"
    PASS_ANSWER = 13, "our own answer to a rejected packet"
    PASS_ETHERTYPE = 14, "not IP, of an ethertype that is set to pass unasked"
    PASS_DHCP_CLIENT = 15, "this host as a client of DHCP passes unasked"
    PASS_IGMP = 16, "IPv4 group membership, set to pass unasked"
    PASS_MULTICAST = 17, "multicast, set to pass unasked"
    PASS_BROADCAST = 18, "IPv4 broadcast, set to pass unasked"

    DROP_DENIED = 24, "denied by a rule"
    DROP_DEFAULT = 25, "no rule matches, and the default denies"
    DROP_REJECTED = 26, "rejected by a rule or the default"
    DROP_REVOKED = 27, "of a session that an earlier policy allowed, and this one does not"
    DROP_NO_SESSION = 28, "a TCP or SCTP packet that belongs to no session and opens none"
    DROP_TRUNCATED = 29, "shorter than its headers say"
    DROP_ETHERTYPE = 30, "not IP"
    DROP_VLAN_DEPTH = 31, "more than two VLAN tags"
    DROP_IPV4_HEADER = 32, "IPv4 header length or total length is wrong"
    DROP_IPV6_HEADER = 33, "IPv6 version or payload length is wrong"
    DROP_IPV6_EXTENSIONS = 34, "too many or malformed IPv6 extension headers"
    DROP_TCP_HEADER = 35, "TCP header length is wrong"
    DROP_TCP_FLAGS = 36, "a combination of TCP flags that no connection sends"
    DROP_UDP_LENGTH = 37, "UDP length is wrong"
    DROP_FRAGMENT = (
        38,
        "a later fragment whose first one was not seen or did not pass under this policy",
    )
    DROP_PROBES = 39, "the search exceeded its bound, which the compiler should have refused"
    DROP_SLOT = 40, "the slot in force holds another generation than the root says, or none"
    DROP_INTERNAL = 41, "a map that always has an entry had none"
    DROP_FIRST_FRAGMENT = 42, "a first fragment too short for the transport header"
    DROP_FRAGMENT_BOUNDS = (
        43,
        "a fragment that overlaps the first one, or whose place or length is wrong",
    )
    DROP_ICMP_ERROR = 44, "an ICMP error that quotes no packet of a session"
    DROP_SOURCE = 45, "its source is an address that no host has: multicast or broadcast"

    @property
    def passes(self) -> bool:
        """Whether the packet goes on."""
        return self < FIRST_DROP


def c_constants() -> dict[str, int]:
    """Return the outcomes as the C side names them (without the -D)."""
    constants = {f"MS_{member.name}": int(member) for member in Outcome}
    return constants | {"MS_OUTCOME_SLOTS": OUTCOME_SLOTS, "MS_FIRST_DROP": FIRST_DROP}
