"""What the kernel's policy maps look like: the only place with byte order and sizes of their entries.

The loader hands every constant of this page to the C compiler, and the C side asserts the sizes, so the two
can't drift apart. Integers are in host order unless a name ends in _be.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum, IntFlag
from typing import TYPE_CHECKING, Any, TypeAlias

from microseg.compiler.image import Prefix, ServiceElement
from microseg.policy.rules import Verdict
from microseg.tables import Packed, differing, pack

if TYPE_CHECKING:
    from collections.abc import Callable

    from microseg.compiler.image import Image, PolicyEntry, PolicyKey
    from microseg.policy.addresses import IPAddress

IMAGE_FORMAT = 1
"""Version of the entries' layout; goes into the digest."""

MAX_SETS = 16
"""Sets that may contain one address."""

MAX_SERVICES = 32
"""Elements over one destination port, and over one source port."""

MAX_PROBES = 1024
"""Probes of the policy map for one packet."""

SLOTS = 2


class PolicyMap(Enum):
    """The maps that hold a policy, one pair per slot; the value is the name without the slot's suffix."""

    IPCACHE4 = "ipcache4"
    IPCACHE6 = "ipcache6"
    SERVICE = "service"
    POLICY = "policy"

    def in_slot(self, slot: int) -> str:
        """Return the kernel's name of this map in slot 0 or 1."""
        return f"{self.value}_{'ab'[slot]}"


class Axis(IntEnum):
    """Which port a service entry is looked up by."""

    DESTINATION = 0
    SOURCE = 1


class EntryFlag(IntFlag):
    """Flags of a policy entry and of a slot's default."""

    LOG = 1


class SlotFlag(IntFlag):
    """Flags of a slot."""

    HAS_SOURCE_PORTS = 1
    """The service map has entries of the source axis."""


NO_ENTRY_FLAGS = EntryFlag(0)
NO_SLOT_FLAGS = SlotFlag(0)

_SET_LIST = struct.Struct(f"={1 + MAX_SETS}I")
_IPCACHE4_KEY = struct.Struct("=I4s")
_IPCACHE6_KEY = struct.Struct("=I16s")
_SERVICE_KEY = struct.Struct("=IBB2s")
_SERVICE_ELEMENT = struct.Struct("=IHH")
_COUNT = struct.Struct("=I")
_POLICY_KEY = struct.Struct("=3I")
_POLICY_VALUE = struct.Struct("=2IBBH")
_SLOT_CONFIG = struct.Struct("=IBBBBI32s")
_ROOT = struct.Struct("=Q")

KEY_SIZES = {
    PolicyMap.IPCACHE4: _IPCACHE4_KEY.size,
    PolicyMap.IPCACHE6: _IPCACHE6_KEY.size,
    PolicyMap.SERVICE: _SERVICE_KEY.size,
    PolicyMap.POLICY: _POLICY_KEY.size,
}
VALUE_SIZES = {
    PolicyMap.IPCACHE4: _SET_LIST.size,
    PolicyMap.IPCACHE6: _SET_LIST.size,
    PolicyMap.SERVICE: _COUNT.size + MAX_SERVICES * _SERVICE_ELEMENT.size,
    PolicyMap.POLICY: _POLICY_VALUE.size,
}
SLOT_CONFIG_SIZE = _SLOT_CONFIG.size
ROOT_SIZE = _ROOT.size

Entries: TypeAlias = Mapping[bytes, bytes]
"""The entries of one map."""

_Pair = tuple[bytes, bytes]

DIGEST_SIZE = 32
NO_DIGEST = bytes(DIGEST_SIZE)


@dataclass(frozen=True, slots=True)
class SlotConfig:
    """What a slot says besides its maps.

    Attributes:
        generation: number of the policy in the slot; 0: none was ever staged.
        default_verdict: of packets no rule matches; None in a slot that was never filled.
        default_flags: how those are reported.
        slot_flags: what the maps contain.
        digest: SHA-256 over the slot's entries and defaults.

    """

    generation: int = 0
    default_verdict: Verdict | None = None
    default_flags: EntryFlag = NO_ENTRY_FLAGS
    slot_flags: SlotFlag = NO_SLOT_FLAGS
    digest: bytes = NO_DIGEST

    def to_bytes(self) -> bytes:
        """Return the map value (44 bytes)."""
        verdict = 0 if self.default_verdict is None else self.default_verdict
        return _SLOT_CONFIG.pack(
            self.generation, verdict, self.default_flags, self.slot_flags, 0, 0, self.digest
        )

    @classmethod
    def from_bytes(cls, value: bytes) -> SlotConfig:
        """Read a map value; raises ValueError for a verdict that doesn't exist."""
        generation, verdict, default_flags, slot_flags, _, _, digest = _SLOT_CONFIG.unpack(value)
        return cls(
            generation,
            Verdict(verdict) if verdict else None,
            EntryFlag(default_flags),
            SlotFlag(slot_flags),
            digest,
        )


@dataclass(frozen=True, slots=True)
class Root:
    """The word that decides which policy is in force; read once per packet (I1).

    Attributes:
        generation: in force; its lowest bit is the slot. 0: no policy, everything passes.
        deadline_s: boot time in seconds after which the other slot is in force; 0: none.

    """

    generation: int = 0
    deadline_s: int = 0

    @property
    def slot(self) -> int:
        """The slot this generation is in."""
        return self.generation & 1

    def to_bytes(self) -> bytes:
        """Return the map value (8 bytes)."""
        return _ROOT.pack(self.deadline_s << 32 | self.generation)

    @classmethod
    def from_bytes(cls, value: bytes) -> Root:
        """Read a map value."""
        (word,) = _ROOT.unpack(value)
        return cls(word & 0xFFFFFFFF, word >> 32)


@dataclass(frozen=True, slots=True)
class SlotContents:
    """An image as bytes: what a slot's maps hold, and its defaults. config.generation is left 0."""

    maps: Mapping[PolicyMap, Entries]
    config: SlotConfig

    def entry_count(self) -> int:
        """Return the number of entries of all maps."""
        return sum(len(entries) for entries in self.maps.values())


class Encoder:
    """Encodes one image after the other; of what is as before the bytes are known."""

    def __init__(self) -> None:
        self._ipcache4 = _Encoding(_ipcache4)
        self._ipcache6 = _Encoding(_ipcache6)
        self._services = _Encoding(_by_destination, _by_source)
        self._rules = _Encoding(_rule)

    def encode(self, image: Image) -> SlotContents:
        """Return the bytes of an image."""
        maps = {
            PolicyMap.IPCACHE4: self._ipcache4.entries(image.ipv4),
            PolicyMap.IPCACHE6: self._ipcache6.entries(image.ipv6),
            PolicyMap.SERVICE: self._services.entries(image.destination_services, image.source_services),
            PolicyMap.POLICY: self._rules.entries(image.rules),
        }
        default_flags = EntryFlag.LOG if image.default_log else NO_ENTRY_FLAGS
        slot_flags = SlotFlag.HAS_SOURCE_PORTS if image.source_services else NO_SLOT_FLAGS
        config = SlotConfig(0, image.default_verdict, default_flags, slot_flags)
        return SlotContents(maps, with_digest(config, maps))


class _Encoding:
    """The entries of one map, made anew only where an item differs from the one before.

    Args:
        makes: make an entry of an item, for each table that goes into the map.

    """

    def __init__(self, *makes: Callable[[Any, Any], _Pair]) -> None:
        self._makes = makes
        self._given: tuple[Mapping[Any, Any], ...] = ({},) * len(makes)
        self._entries = Packed()

    def entries(self, *given: Mapping[Any, Any]) -> Packed:
        """Return the entries; the same object when nothing differs."""
        written, gone = {}, []
        for make, before, after in zip(self._makes, self._given, given, strict=True):
            for item in differing(before, after):
                if item in after:
                    key, value = make(item, after[item])
                    written[key] = value
                else:
                    gone.append(make(item, before[item])[0])
        self._given, self._entries = given, self._entries.changed(written, gone)
        return self._entries


def encode(image: Image) -> SlotContents:
    """Return the bytes of an image."""
    return Encoder().encode(image)


def _ipcache4(prefix: Prefix, ids: tuple[int, ...]) -> _Pair:
    return _IPCACHE4_KEY.pack(prefix.bits, prefix.number.to_bytes(4, "big")), _set_list(ids)


def _ipcache6(prefix: Prefix, ids: tuple[int, ...]) -> _Pair:
    return _IPCACHE6_KEY.pack(prefix.bits, prefix.number.to_bytes(16, "big")), _set_list(ids)


def _by_destination(prefix: Prefix, elements: tuple[ServiceElement, ...]) -> _Pair:
    return service_key(Axis.DESTINATION, prefix), _service_list(elements)


def _by_source(prefix: Prefix, elements: tuple[ServiceElement, ...]) -> _Pair:
    return service_key(Axis.SOURCE, prefix), _service_list(elements)


def _rule(key: PolicyKey, entry: PolicyEntry) -> _Pair:
    return _POLICY_KEY.pack(*key), _policy_value(entry)


def with_digest(config: SlotConfig, maps: Mapping[PolicyMap, Entries]) -> SlotConfig:
    """Return the config with the digest of what the maps and the defaults really hold."""
    return SlotConfig(
        config.generation,
        config.default_verdict,
        config.default_flags,
        config.slot_flags,
        digest_of(config, maps),
    )


def digest_of(config: SlotConfig, maps: Mapping[PolicyMap, Entries]) -> bytes:
    """Return the SHA-256 over entries and defaults; the generation is no part of it."""
    sha = hashlib.sha256()
    verdict = 0 if config.default_verdict is None else config.default_verdict
    sha.update(struct.pack("=IBBB", IMAGE_FORMAT, verdict, config.default_flags, config.slot_flags))
    for name in PolicyMap:
        sha.update(struct.pack("=I", len(maps[name])))
        sha.update(pack(maps[name]))
    return sha.digest()


def service_key(axis: Axis, prefix: Prefix) -> bytes:
    """Return the map key of a prefix of protocol << 16 | port (24 bits)."""
    protocol, port = prefix.number >> 16, prefix.number & 0xFFFF
    return _SERVICE_KEY.pack(8 + prefix.bits, axis, protocol, port.to_bytes(2, "big"))


def address_key(address: IPAddress) -> tuple[PolicyMap, bytes]:
    """Return the map that knows the address, and the key to look it up by (all its bits)."""
    if address.version == 4:
        return PolicyMap.IPCACHE4, _IPCACHE4_KEY.pack(32, address.packed)
    return PolicyMap.IPCACHE6, _IPCACHE6_KEY.pack(128, address.packed)


def decode_policy_value(value: bytes) -> tuple[int, int, int, int]:
    """Return (precedence, rule id, verdict number, flags) of a policy map value."""
    precedence, rule_id, verdict, flags, _ = _POLICY_VALUE.unpack(value)
    return precedence, rule_id, verdict, flags


def decode_policy_key(key: bytes) -> tuple[int, int, int]:
    """Return (source set, destination set, service) of a policy map key."""
    src_set, dst_set, service = _POLICY_KEY.unpack(key)
    return src_set, dst_set, service


def decode_prefix(name: PolicyMap, key: bytes) -> Prefix:
    """Return the address block of an ipcache key."""
    key_struct = _IPCACHE4_KEY if name is PolicyMap.IPCACHE4 else _IPCACHE6_KEY
    bits, address_be = key_struct.unpack(key)
    return Prefix(int.from_bytes(address_be, "big"), bits)


def decode_set_list(value: bytes) -> tuple[int, ...]:
    """Return the set ids of an ipcache value."""
    count, *ids = _SET_LIST.unpack(value)
    return tuple(ids[:count])


def decode_service_key(key: bytes) -> tuple[Axis, Prefix]:
    """Return the axis of a service key, and its prefix of protocol << 16 | port (24 bits)."""
    bits, axis, protocol, port_be = _SERVICE_KEY.unpack(key)
    return Axis(axis), Prefix(protocol << 16 | int.from_bytes(port_be, "big"), bits - 8)


def decode_service_list(value: bytes) -> tuple[ServiceElement, ...]:
    """Return the elements of a service value."""
    (count,) = _COUNT.unpack_from(value)
    end = _COUNT.size + count * _SERVICE_ELEMENT.size
    return tuple(ServiceElement(*each) for each in _SERVICE_ELEMENT.iter_unpack(value[_COUNT.size : end]))


def _set_list(ids: tuple[int, ...]) -> bytes:
    assert len(ids) <= MAX_SETS, "the compiler refuses longer lists"
    return _SET_LIST.pack(len(ids), *ids, *(0,) * (MAX_SETS - len(ids)))


def _service_list(elements: tuple[ServiceElement, ...]) -> bytes:
    assert len(elements) <= MAX_SERVICES, "the compiler refuses longer lists"
    packed = b"".join(_SERVICE_ELEMENT.pack(*element) for element in elements)
    return _COUNT.pack(len(elements)) + packed.ljust(MAX_SERVICES * _SERVICE_ELEMENT.size, b"\0")


def _policy_value(entry: PolicyEntry) -> bytes:
    flags = EntryFlag.LOG if entry.log else NO_ENTRY_FLAGS
    return _POLICY_VALUE.pack(entry.precedence, entry.rule_id, entry.verdict, flags, 0)


def c_constants() -> dict[str, int]:
    """Return every constant of this page as the C side names it (without the -D)."""
    constants = {
        "MS_MAX_SETS": MAX_SETS,
        "MS_MAX_SERVICES": MAX_SERVICES,
        "MS_MAX_PROBES": MAX_PROBES,
        "MS_SIZEOF_SLOT_CONFIG": SLOT_CONFIG_SIZE,
    }
    enums: tuple[tuple[str, type[IntEnum | IntFlag]], ...] = (
        ("VERDICT", Verdict),
        ("AXIS", Axis),
        ("ENTRY", EntryFlag),
        ("SLOT", SlotFlag),
    )
    for prefix, members in enums:
        constants |= {f"MS_{prefix}_{member.name}": int(member) for member in members}
    for name in PolicyMap:
        constants[f"MS_SIZEOF_{name.name}_KEY"] = KEY_SIZES[name]
        constants[f"MS_SIZEOF_{name.name}_VALUE"] = VALUE_SIZES[name]
    return constants
