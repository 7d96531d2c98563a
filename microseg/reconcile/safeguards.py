"""What a change must spare: what is asked of the guards, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from microseg.policy.addresses import NO_ADDRESSES, AddressSet

if TYPE_CHECKING:
    from microseg.policy.packet import Packet


@dataclass(frozen=True, slots=True)
class Kept:
    """A connection that must stay possible; its packet is the one that opens it."""

    name: str
    packet: Packet


@dataclass(frozen=True, slots=True)
class Lifelines:
    """What must not be cut.

    Attributes:
        kept: single connections.
        hosts: this host's addresses, which protected traffic must reach.

    """

    kept: tuple[Kept, ...] = ()
    hosts: AddressSet = NO_ADDRESSES


NO_LIFELINES = Lifelines()


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may change at once; 100 is everything.

    Attributes:
        entries_percent: of the entries in force and of those that come.
        sessions_percent: of the live sessions, cut.

    """

    entries_percent: float = 50.0
    sessions_percent: float = 25.0
