"""What reconciliation needs of a running kernel; `microseg.kernel.dataplane` implements it, tests fake it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from microseg.abi import PolicyMap
from microseg.tables import pieces

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from microseg.abi import Entries, Root, SlotConfig
    from microseg.abi_session import Session
    from microseg.abi_settings import Settings
    from microseg.policy.rules import Verdict


class Hook(Enum):
    """How the program is attached; the value is the word of the command line."""

    TCX = "tcx"
    CLSACT = "clsact"
    XDP = "xdp"


@dataclass(frozen=True, slots=True)
class Attachment:
    """An interface under enforcement."""

    interface: str
    hook: Hook


@dataclass(frozen=True, slots=True)
class RuleCount:
    """What a rule has judged since its map was made, all CPUs together."""

    packets: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Judged:
    """What a policy in the kernel says about a frame.

    Attributes:
        verdict: of the policy; None when it isn't asked about such a packet.
        rule: id of the rule that decides; 0: the default.
        log: it is to be reported.

    """

    verdict: Verdict | None
    rule: int = 0
    log: bool = False


@dataclass(frozen=True, slots=True)
class Sizing:
    """Capacities the maps are made with, in entries."""

    addresses: int = 65_536
    services: int = 16_384
    rules: int = 131_072
    sessions: int = 120_000
    sessions6: int = 16_000
    rule_counters: int = 32_768

    def policy_capacities(self) -> dict[PolicyMap, int]:
        """Return how many entries each policy map of a slot would be made for."""
        return {
            PolicyMap.IPCACHE4: self.addresses,
            PolicyMap.IPCACHE6: self.addresses,
            PolicyMap.SERVICE: self.services,
            PolicyMap.POLICY: self.rules,
        }


@dataclass(frozen=True, slots=True)
class Reading:
    """What a map held: its entries as the kernel gave them, in its own order.

    Attributes:
        keys: all of them in one piece.
        values: in the same order.
        key_size, value_size: of one, in bytes.

    """

    keys: bytes
    values: bytes
    key_size: int
    value_size: int

    def __len__(self) -> int:
        """Return the number of entries."""
        return len(self.keys) // self.key_size

    def entries(self) -> Entries:
        """Return the entries."""
        return dict(zip(pieces(self.keys, self.key_size), pieces(self.values, self.value_size), strict=True))


class Flaw(Enum):
    """What can be wrong with pins, programs and filters of ours."""

    PIN_MISSING = "pin missing"
    PROGRAM = "program"
    FILTER_REPLACED = "filter replaced"
    FILTER_SHADOWED = "filter shadowed"


@dataclass(frozen=True, slots=True)
class Irregularity:
    """Something that is wrong: a pin, a program or an interface, and in words what."""

    flaw: Flaw
    subject: str
    detail: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load took over.

    Attributes:
        previous: name of the load there was before, to go back to it; empty: none.
        lost: maps whose content could not be taken over, because their layout is another one now.

    """

    previous: str = ""
    lost: tuple[str, ...] = ()


class KernelError(Exception):
    """The kernel, or a tool that stands between it and us, refused.

    Attributes:
        message: what was refused, in one line.
        advice: what to type or install; may be empty.
        log: the compiler's or verifier's own words; may be empty.

    """

    def __init__(self, message: str, *, advice: str = "", log: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice
        self.log = log


class KernelAccessError(KernelError):
    """The process may not do that: not root, or without CAP_BPF and CAP_NET_ADMIN."""


class NotLoadedError(KernelError):
    """The programs and maps that were asked for are not pinned."""


class InterfaceMissingError(KernelError):
    """There is no network interface of that name."""


class DataPlane(Protocol):
    """The kernel side. Every method raises KernelError (or a subclass) when the kernel refuses."""

    def preferred_hook(self) -> Hook:
        """Return how to attach when nobody says: tcx where the kernel has it, else clsact."""
        ...

    def is_loaded(self) -> bool:
        """Say whether programs and maps of ours are pinned."""
        ...

    def has_interface(self, name: str) -> bool:
        """Say whether there is a network interface of that name."""
        ...

    def load(self, sizing: Sizing, *, debug: bool = False) -> Loaded:
        """Compile, verify and pin the programs, and make the maps; what is in the maps there are is kept.

        Programs that are attached judge on, by the maps they have, until attach() replaces them. A failure
        leaves everything as it was and carries the compiler's or verifier's words. debug: programs that
        trace each packet.
        """
        ...

    def reasons_to_load(self, sizing: Sizing, *, debug: bool) -> tuple[str, ...]:
        """Return why what is loaded is not what load() would make of it; empty when it is."""
        ...

    def take_back_load(self, previous: str) -> None:
        """Use an earlier load again, also wherever the newer one is attached by now."""
        ...

    def is_debug_program(self) -> bool:
        """Say whether the programs in use trace each packet."""
        ...

    def unload(self) -> None:
        """Detach everywhere and remove every pin of ours. This ends enforcement (I8)."""
        ...

    def attachments(self) -> tuple[Attachment, ...]:
        """Return the interfaces our program is really attached to, sorted by name."""
        ...

    def outdated(self) -> tuple[str, ...]:
        """Return the interfaces that run programs of an earlier load, sorted."""
        ...

    def program_tags(self) -> Mapping[str, str]:
        """Return the tag (a hash of the instructions) of each program that is loaded."""
        ...

    def irregularities(self, tags: Mapping[str, str]) -> tuple[Irregularity, ...]:
        """Return what is wrong with pins, programs and filters; tags: as recorded, empty when unknown."""
        ...

    def remove_leftovers(self) -> None:
        """Remove what earlier loads left behind and no interface runs any more."""
        ...

    def attach(self, wanted: Sequence[Attachment]) -> None:
        """Attach to all of these, both directions; when one fails, to none that wasn't attached before."""
        ...

    def adopt_until(self, boot_s: int) -> None:
        """Let TCP connections in progress go on if the policy allows either direction, until this boot time.

        Afterwards a packet in the middle of an unknown connection is denied.
        """
        ...

    def detach(self, interfaces: Sequence[str]) -> None:
        """Detach from these interfaces; others stay."""
        ...

    def capacities(self) -> Mapping[PolicyMap, int]:
        """Return how many entries each policy map can hold per slot."""
        ...

    def read_root(self) -> Root:
        """Return the word that says which generation is in force."""
        ...

    def write_root(self, root: Root) -> None:
        """Switch: one aligned 8-byte store (I1)."""
        ...

    def read_config(self, slot: int) -> SlotConfig:
        """Return a slot's defaults, generation and digest."""
        ...

    def write_config(self, slot: int, config: SlotConfig) -> None:
        """Replace a slot's defaults, generation and digest. Only ever called for the standby slot."""
        ...

    def read_map(self, slot: int, name: PolicyMap) -> Reading:
        """Read all entries of one map of a slot."""
        ...

    def write_entries(self, slot: int, name: PolicyMap, upserts: Entries, deletions: Sequence[bytes]) -> None:
        """Delete and then upsert entries of one map of the standby slot, in batches."""
        ...

    def wait_for_readers(self) -> None:
        """Return once no CPU can still be judging a packet under a root word read before (I1)."""
        ...

    def read_settings(self) -> Settings:
        """Return how the program is set, and what it was told of the kernel."""
        ...

    def write_settings(self, settings: Settings) -> None:
        """Replace the settings; they take effect at the next packet."""
        ...

    def judge(self, frames: Sequence[bytes], generation: int) -> list[Judged]:
        """Return what the policy of a generation, also of the standby slot, says about Ethernet frames.

        Nothing is sent, and neither sessions nor counters change.
        """
        ...

    def rule_counts(self) -> Mapping[int, RuleCount]:
        """Return what each rule id has judged; id 0 is the default."""
        ...

    def sessions(self) -> Iterable[Session]:
        """Return the live sessions, in no order."""
        ...

    def forget_rules(self, rule_ids: Sequence[int]) -> None:
        """Remove the counts of rules, to make room for others."""
        ...

    def boot_time_s(self) -> int:
        """Return the seconds since boot on the clock the deadline is compared with."""
        ...
