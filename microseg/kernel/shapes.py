"""Which maps there are, and of what shape: the loader makes them so and refuses pinned ones that differ."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from microseg import abi, abi_cache, abi_counts, abi_flow, abi_opening, abi_outcome, abi_session, abi_settings
from microseg.abi import PolicyMap
from microseg.kernel.bpf import MapInfo, MapType, possible_cpus

if TYPE_CHECKING:
    from collections.abc import Mapping

    from microseg.reconcile.dataplane import Sizing

_NO_PREALLOC = 1
_MMAPABLE = 1 << 10

EVENT_BUFFER_BYTES = 1 << 20
"""Ring buffer of flow_events: a power of two and a multiple of the page size."""

FRAGMENTS = 1024
"""Packets of each family whose later fragments may follow."""

OPENINGS = 4096
"""Counts of stored sessions, by a hash of their keys: a power of two."""

RULE_LINES = 12_288
"""Lines of counts of all CPUs together, at least one for each."""

OPENING_SHARE = 8
"""One opening session is kept for so many sessions."""


@dataclass(frozen=True, slots=True)
class MapShape:
    """Type, sizes in bytes (value of one CPU), capacity and flags of a map."""

    type: int
    key_size: int
    value_size: int
    max_entries: int
    flags: int = 0

    @classmethod
    def of(cls, info: MapInfo) -> MapShape:
        """Return the shape of a map that exists."""
        return cls(info.type, info.key_size, info.value_size, info.max_entries, info.flags)

    @property
    def layout(self) -> tuple[int, int, int, int]:
        """All but the capacity: maps of one layout can take over each other's entries."""
        return self.type, self.key_size, self.value_size, self.flags

    def __str__(self) -> str:
        sizes = f"key {self.key_size} bytes, value {self.value_size} bytes"
        kind = MapType(self.type).name.lower() if self.type in set(MapType) else f"type {self.type}"
        return f"{kind}, {sizes}, {self.max_entries} entries, flags {self.flags:#x}"

    def as_json(self) -> dict[str, int]:
        """Return the fields by name."""
        return asdict(self)


def map_shapes(sizing: Sizing) -> dict[str, MapShape]:
    """Return every pinned map by name."""
    key4, key6 = abi_session.SESSION_KEY4_SIZE, abi_session.SESSION_KEY6_SIZE
    session_size = abi_session.SESSION_SIZE
    return _policy_shapes(sizing) | {
        "slot_config": MapShape(MapType.ARRAY, 4, abi.SLOT_CONFIG_SIZE, abi.SLOTS),
        "policy_root": MapShape(MapType.ARRAY, 4, abi.ROOT_SIZE, 1, _MMAPABLE),
        "config": MapShape(MapType.ARRAY, 4, abi_settings.SETTINGS_SIZE, 1),
        "session4": MapShape(MapType.LRU_HASH, key4, session_size, sizing.sessions),
        "session6": MapShape(MapType.LRU_HASH, key6, session_size, sizing.sessions6),
        "opening4": MapShape(MapType.ARRAY, 4, abi_opening.OPENING4_SIZE, _sets(sizing.sessions), _MMAPABLE),
        "opening6": MapShape(MapType.ARRAY, 4, abi_opening.OPENING6_SIZE, _sets(sizing.sessions6), _MMAPABLE),
        "flow4": MapShape(MapType.ARRAY, 4, abi_cache.LINES4_SIZE, _places(sizing.sessions), _MMAPABLE),
        "flow6": MapShape(MapType.ARRAY, 4, abi_cache.LINES6_SIZE, _places(sizing.sessions6 // 2), _MMAPABLE),
        "fragment4": MapShape(
            MapType.LRU_HASH, abi_session.FRAGMENT_KEY4_SIZE, abi_session.FRAGMENT_SIZE, FRAGMENTS
        ),
        "fragment6": MapShape(
            MapType.LRU_HASH, abi_session.FRAGMENT_KEY6_SIZE, abi_session.FRAGMENT_SIZE, FRAGMENTS
        ),
        "openings": MapShape(MapType.ARRAY, 4, 4, OPENINGS),
        "stats": MapShape(MapType.PERCPU_ARRAY, 4, abi_flow.STATS_SIZE, 1),
        "rule_lines": MapShape(MapType.ARRAY, 4, abi_counts.RULE_LINE_SIZE, _lines(), _MMAPABLE),
        "rule_counters": MapShape(
            MapType.PERCPU_HASH, 4, abi_counts.RULE_COUNT_SIZE, sizing.rule_counters, _NO_PREALLOC
        ),
        "flow_events": MapShape(MapType.RINGBUF, 0, 0, EVENT_BUFFER_BYTES),
    }


def _sets(sessions: int) -> int:
    """Return the sets for the share of so many sessions that open: a power of two."""
    least = max(sessions // OPENING_SHARE, 1024) // abi_opening.WAYS
    return 1 << least.bit_length()


def _lines() -> int:
    """Return the lines of counts: as many for each CPU."""
    cpus = possible_cpus()
    return cpus * max(RULE_LINES // cpus, 1)


def _places(wanted: int) -> int:
    """Return the places of a map of the flow cache: as many for each CPU, a power of two, at least 2."""
    cpus = possible_cpus()
    share = (1 << (wanted - 1).bit_length()) // cpus
    return cpus * (1 << max(share.bit_length() - 1, 1))


def _policy_shapes(sizing: Sizing) -> dict[str, MapShape]:
    shapes: dict[str, MapShape] = {}
    for name, capacity in sizing.policy_capacities().items():
        type_ = MapType.HASH if name is PolicyMap.POLICY else MapType.LPM_TRIE
        shape = MapShape(type_, abi.KEY_SIZES[name], abi.VALUE_SIZES[name], capacity, _NO_PREALLOC)
        shapes |= {name.in_slot(slot): shape for slot in range(abi.SLOTS)}
    return shapes


def c_constants(shapes: Mapping[str, MapShape]) -> dict[str, int]:
    """Return every constant of the C side: layouts, enums and capacities."""
    capacities = {
        f"MS_ENTRIES_{name.upper().removesuffix('_A')}": shape.max_entries
        for name, shape in shapes.items()
        if not name.endswith("_b")
    }
    capacities |= {"MS_CPUS": possible_cpus()} if shapes else {}
    modules = (abi, abi_cache, abi_counts, abi_flow, abi_opening, abi_outcome, abi_session, abi_settings)
    return {name: value for module in modules for name, value in module.c_constants().items()} | capacities
