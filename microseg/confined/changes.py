"""What differs between two answers, as bytes: of a large policy only what changed goes over the pipe.

The side that compiles may say anything. So a difference is applied to what this side has of its own, and the
image that comes of it must have the digest it is said to have, as with a whole image.
"""

from __future__ import annotations

import struct
from itertools import compress
from operator import is_not
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
from microseg.memo import common_ends
from microseg.sections import Sections, in_one, sections_of
from microseg.tables import Packed, differing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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


def mapping_changes(
    before: Mapping[int, Value], after: Mapping[int, Value], encode: Callable[[Value], Json]
) -> Json:
    """Return the difference of two mappings in order; values that are as before are the same objects.

    Where the keys are others, so many are gone and these are there instead; then values by key.
    """
    if before is after:
        return [0, 0, [], {}]
    old, new = list(before), list(after)
    head, tail = common_ends(old, new)
    inserted, values = new[head : len(new) - tail], list(before.values())
    known = [*values[:head], *map(before.get, inserted), *values[len(old) - tail :]]
    changed = compress(new, map(is_not, known, after.values()))
    return [head, len(old) - head - tail, inserted, {key: encode(after[key]) for key in changed}]


def changed_mapping(
    before: Mapping[int, Value], data: Json, decode: Callable[[Json], Value]
) -> Mapping[int, Value]:
    """Apply a difference; raises ValueError, KeyError, TypeError or AttributeError for anything else."""
    at, gone, inserted, values = data
    keys, known = list(before), list(before.values())
    if not (0 <= at <= len(keys) and 0 <= gone <= len(keys) - at):
        raise ValueError("a difference to something else")
    written = {int(key): decode(value) for key, value in values.items()}
    if not (gone or inserted or written):
        return before
    keys[at : at + gone] = map(int, inserted)
    known[at : at + gone] = (written[key] if key in written else before[key] for key in map(int, inserted))
    after = dict(zip(keys, known, strict=True))
    if len(after) != len(keys) or not written.keys() <= after.keys():
        raise ValueError("a number that means two things, or one that isn't there")
    return after | written


def section_changes(
    before: Mapping[int, Value], after: Mapping[int, Value], encode: Callable[[Value], Json]
) -> Json:
    """Return the difference of two mappings in sections; sections that are as before are the same objects.

    Of those the place is said. Of others each key with its value, or null where it had it in a section that
    is gone.
    """
    places = {id(section): at for at, section in enumerate(sections_of(before))}
    gone = places.keys() - set(map(id, sections_of(after)))
    known = in_one(Sections(each for each in sections_of(before) if id(each) in gone))
    return [
        places[id(section)]
        if id(section) in places
        else [[key, None if known.get(key) == each else encode(each)] for key, each in section.items()]
        for section in sections_of(after)
    ]


def changed_sections(
    before: Mapping[int, Value], data: Json, decode: Callable[[Json], Value]
) -> Mapping[int, Value]:
    """Apply a difference; raises ValueError, KeyError or TypeError for anything else."""
    sections, places = sections_of(before), [each for each in data if type(each) is int]
    kept = set(places)
    if len(kept) < len(places) or not kept <= set(range(len(sections))):
        raise ValueError("a difference to something else")
    if len(places) == len(data) and places == list(range(len(sections))):
        return before
    gone = in_one(Sections(each for at, each in enumerate(sections) if at not in kept))
    after = [sections[each] if type(each) is int else _section(each, gone, decode) for each in data]
    # What was in those that are gone is in no other: only what is new is looked for in those that stay.
    staying = Sections(sections[at] for at in places)
    written = [key for each in data if type(each) is not int for key, _ in each]
    if len(set(written)) < len(written) or any(key in staying for key in written if key not in gone):
        raise ValueError("a number that means two things")
    return Sections(after)


def _section(data: Json, gone: Mapping[int, Value], decode: Callable[[Json], Value]) -> dict[int, Value]:
    """Return a section that wasn't there before."""
    if not all(type(key) is int for key, _ in data):
        raise ValueError("not a number")
    return {key: gone[key] if value is None else decode(value) for key, value in data}
