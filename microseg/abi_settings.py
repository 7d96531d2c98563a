"""What the kernel program can be told: timeouts, rates, and what passes without being judged.

Like microseg.abi for the policy maps, this is the only place with this layout. docs/data-plane.md says what
each setting means to the operator.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag


class Idle(IntEnum):
    """Which of the idle timeouts a session is under; the number is the index in the settings."""

    TCP_OPENING = 0
    TCP_STEADY = 1
    TCP_CLOSING = 2
    TCP_CLOSED = 3
    UDP_OPENING = 4
    UDP_STEADY = 5
    ICMP = 6
    OTHER = 7
    SCTP_OPENING = 8
    SCTP_STEADY = 9
    SCTP_CLOSED = 10
    FRAGMENT = 11
    """How long later fragments may follow a first one; Linux puts a packet together for 30 s."""


class Unasked(IntFlag):
    """What passes without being judged. Of everything else, and of what isn't set, the policy is asked.

    Without NEIGHBOUR a rule can still allow ICMPv6 types 133 to 137; nothing else can allow ARP.
    """

    ARP = 1
    NEIGHBOUR = 2
    """IPv6 neighbour and router discovery with hop limit 255, which no router lets through."""
    MULTICAST_LISTENER = 4
    """IPv6 multicast listener discovery of this link."""
    DHCP_CLIENT = 8
    """UDP 68 -> 67 (546 -> 547) going out, 67 -> 68 (547 -> 546) coming in."""
    IGMP = 16
    """IPv4 group membership, to a multicast address."""
    MULTICAST = 32
    """To 224.0.0.0/4 or ff00::/8."""
    BROADCAST = 64
    """To 255.255.255.255."""


class Option(IntFlag):
    """How the program behaves where there is a choice."""

    JUDGE_ICMP_ERRORS = 1
    """Ask the policy about ICMP errors that quote no packet of a session, rather than drop them."""


IDLE_SLOTS = 16
ETHERTYPE_SLOTS = 8
ANSWER_MARK = 0x6D736567
"""skb->mark of an answer from the hook that makes it to the one that lets it pass, where it becomes 0."""

DEFAULT_UNASKED = Unasked.ARP | Unasked.NEIGHBOUR | Unasked.MULTICAST_LISTENER | Unasked.DHCP_CLIENT

NO_OPTIONS = Option(0)

DEFAULT_IDLE_S: dict[Idle, int] = {
    Idle.TCP_OPENING: 60,
    Idle.TCP_STEADY: 8 * 3600,
    Idle.TCP_CLOSING: 120,
    Idle.TCP_CLOSED: 30,
    Idle.UDP_OPENING: 30,
    Idle.UDP_STEADY: 180,
    Idle.ICMP: 30,
    Idle.OTHER: 600,
    Idle.SCTP_OPENING: 60,
    Idle.SCTP_STEADY: 8 * 3600,
    Idle.SCTP_CLOSED: 30,
    Idle.FRAGMENT: 30,
}

_SETTINGS = struct.Struct(f"=6I{2 * ETHERTYPE_SLOTS}s{IDLE_SLOTS}I")

SETTINGS_SIZE = _SETTINGS.size


@dataclass(frozen=True, slots=True)
class Settings:
    """Map `config`: array of one, written by user space only.

    Attributes:
        adopt_until_s: boot time in seconds until which TCP and SCTP connections are adopted; 0: never.
        events_per_s: events each CPU may send in a second; 0: none.
        hz: jiffies per second of the running kernel.
        answers_per_s: rejected packets each CPU may answer in a second; 0: none.
        unasked: what passes without being judged.
        options: see Option.
        ethertypes: further ones that pass without being judged, at most 8; 4 stands for all 802.3 frames.
        idle_s: idle timeouts in seconds.

    """

    adopt_until_s: int = 0
    events_per_s: int = 1000
    hz: int = 250
    answers_per_s: int = 1000
    unasked: Unasked = DEFAULT_UNASKED
    options: Option = NO_OPTIONS
    ethertypes: tuple[int, ...] = ()
    idle_s: dict[Idle, int] = field(default_factory=lambda: dict(DEFAULT_IDLE_S))

    def to_bytes(self) -> bytes:
        """Return the map value; timeouts become jiffies."""
        assert len(self.ethertypes) <= ETHERTYPE_SLOTS, f"{len(self.ethertypes)} ethertypes"
        idle = [0] * IDLE_SLOTS
        for which, seconds in self.idle_s.items():
            idle[which] = min(seconds * self.hz, 0xFFFFFFFF)
        ethertypes_be = b"".join(one.to_bytes(2, "big") for one in self.ethertypes)
        rates = (self.adopt_until_s, self.events_per_s, self.hz, self.answers_per_s)
        return _SETTINGS.pack(*rates, self.unasked, self.options, ethertypes_be, *idle)

    @classmethod
    def from_bytes(cls, value: bytes) -> Settings:
        """Read a map value."""
        adopt_until_s, events_per_s, hz, answers_per_s, unasked, options, ethertypes_be, *idle = (
            _SETTINGS.unpack(value)
        )
        ethertypes = struct.unpack(f">{ETHERTYPE_SLOTS}H", ethertypes_be)
        return cls(
            adopt_until_s,
            events_per_s,
            hz,
            answers_per_s,
            Unasked(unasked),
            Option(options),
            tuple(one for one in ethertypes if one),
            {which: idle[which] // max(hz, 1) for which in Idle},
        )


def c_constants() -> dict[str, int]:
    """Return every constant of this page as the C side names it (without the -D)."""
    constants = {
        "MS_IDLE_SLOTS": IDLE_SLOTS,
        "MS_ETHERTYPE_SLOTS": ETHERTYPE_SLOTS,
        "MS_ANSWER_MARK": ANSWER_MARK,
        "MS_SIZEOF_SETTINGS": SETTINGS_SIZE,
    }
    enums: tuple[tuple[str, type[IntEnum | IntFlag]], ...] = (
        ("IDLE", Idle),
        ("UNASKED", Unasked),
        ("OPTION", Option),
    )
    for prefix, members in enums:
        constants |= {f"MS_{prefix}_{member.name}": int(member) for member in members}
    return constants
