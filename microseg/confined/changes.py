"""What differs between two answers, as bytes: of a large policy only what changed goes over the pipe.

The side that compiles may say anything. So a difference is applied to what this side has of its own, and the
image that comes of it must have the digest it is said to have, as with a whole image.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import compress, count
from operator import is_not, ne
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from microseg.abi import (
    KEY_SIZES,
    SLOT_CONFIG_SIZE,
    VALUE_SIZES,
    PolicyMap,
    SlotConfig,
    SlotContents,
    digest_of,
)
from microseg.tables import Packed, differing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from microseg.abi import Entries

Json: TypeAlias = Any
"""Whatever JSON can say."""

Value = TypeVar("Value")

_COUNTS = struct.Struct("=2I")


def contents_changes(before: SlotContents, after: SlotContents) -> bytes:
    """Return the difference: defaults and digest, then of each map the entries that come and keys that go."""
    parts = [after.config.to_bytes()]
    for name in PolicyMap:
        old, new = before.maps[name], after.maps[name]
        keys = differing(old, new)
        written, gone = [key for key in keys if key in new], [key for key in keys if key not in new]
        parts.append(_COUNTS.pack(len(written), len(gone)))
        parts += [key + new[key] for key in written]
        parts += gone
    return b"".join(parts)


def changed_contents(before: SlotContents, data: bytes) -> SlotContents:
    """Apply a difference; raises ValueError for anything else, or when the digest is another."""
    try:
        config = SlotConfig.from_bytes(data[:SLOT_CONFIG_SIZE])
        maps, at = {}, SLOT_CONFIG_SIZE
        for name in PolicyMap:
            maps[name], at = _changed_map(before.maps[name], name, data, at)
    except (struct.error, KeyError) as error:
        raise ValueError(f"not a difference to the image before: {error!r}") from error
    if at != len(data):
        raise ValueError(f"{len(data) - at} bytes too many or too few")
    if config.generation or config.default_verdict is None or digest_of(config, maps) != config.digest:
        raise ValueError("an image whose digest isn't that of its entries")
    return SlotContents(maps, config)


def _changed_map(before: Entries, name: PolicyMap, data: bytes, at: int) -> tuple[Entries, int]:
    written, gone = _COUNTS.unpack_from(data, at)
    key_size, size = KEY_SIZES[name], KEY_SIZES[name] + VALUE_SIZES[name]
    first = at + _COUNTS.size
    middle = first + written * size
    end = middle + gone * key_size
    if end > len(data):
        raise ValueError(f"{name.value} is cut short")
    if not (written or gone):
        return before, end
    gone = [data[one : one + key_size] for one in range(middle, end, key_size)]
    entries = {
        data[one : one + key_size]: data[one + key_size : one + size] for one in range(first, middle, size)
    }
    base = before if isinstance(before, Packed) else Packed(before)
    return base.changed(entries, gone), end


@dataclass(frozen=True, slots=True)
class Splice:
    """Where the keys of a mapping, in order, are others: so many from here on are replaced by these."""

    at: int
    gone: int
    keys: Sequence[int]


def mapping_changes(
    before: Mapping[int, Value], after: Mapping[int, Value], encode: Callable[[Value], Json]
) -> Json:
    """Return the difference of two mappings in order; values that are as before are the same objects."""
    splice = _splice(list(before), list(after))
    changed = compress(after, map(is_not, map(before.get, after), after.values()))
    values = {key: encode(after[key]) for key in changed}
    return [splice.at, splice.gone, splice.keys, values]


def changed_mapping(
    before: Mapping[int, Value], data: Json, decode: Callable[[Json], Value]
) -> dict[int, Value]:
    """Apply a difference; raises ValueError, KeyError, TypeError or AttributeError for anything else."""
    at, gone, inserted, values = data
    keys = list(before)
    if not (0 <= at <= len(keys) and 0 <= gone <= len(keys) - at):
        raise ValueError("a difference to something else")
    keys[at : at + gone] = map(int, inserted)
    known = {**before, **{int(key): decode(value) for key, value in values.items()}}
    after = {key: known[key] for key in keys}
    if len(after) != len(keys):
        raise ValueError("a number that means two things")
    return after


def _splice(before: list[int], after: list[int]) -> Splice:
    shorter = min(len(before), len(after))
    head = next(compress(count(), map(ne, before, after)), shorter)
    tail = next(compress(count(), map(ne, reversed(before), reversed(after))), shorter)
    tail = min(tail, shorter - head)
    return Splice(head, len(before) - head - tail, after[head : len(after) - tail])
