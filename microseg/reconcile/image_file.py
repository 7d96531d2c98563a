"""A compiled policy as a file: the bytes of the kernel's maps, to be loaded without its text.

It is JSON, packed by gzip; keys and values are in hexadecimal. What is read back is held against the digest
of entries and defaults, so a file that was altered is never loaded.
"""

from __future__ import annotations

import gzip
import json
import zlib
from typing import TYPE_CHECKING, Any

from microseg.abi import IMAGE_FORMAT, EntryFlag, PolicyMap, SlotConfig, SlotContents, SlotFlag, digest_of
from microseg.policy.rules import Verdict

if TYPE_CHECKING:
    from microseg.abi import Entries

_LEVEL = 1
"""Of gzip: the fastest. Entries repeat themselves, so the others gain little."""


def to_bytes(contents: SlotContents) -> bytes:
    """Return the content of a file; the same for the same contents (I5)."""
    config = contents.config
    assert config.default_verdict is not None, "a compiled policy has a default"
    value = {
        "format": IMAGE_FORMAT,
        "digest": config.digest.hex(),
        "default_verdict": config.default_verdict.value,
        "default_flags": config.default_flags.value,
        "slot_flags": config.slot_flags.value,
        "maps": {name.value: _to_json(contents.maps[name]) for name in PolicyMap},
    }
    return gzip.compress(json.dumps(value).encode(), _LEVEL, mtime=0)


def from_bytes(content: bytes) -> SlotContents:
    """Read a file; raises KeyError, TypeError or ValueError for anything else than it was written as."""
    try:
        value = json.loads(gzip.decompress(content))
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"not packed by gzip, or not whole: {error}") from error
    if value["format"] != IMAGE_FORMAT:
        raise ValueError(f"entries of format {value['format']!r}, this version has format {IMAGE_FORMAT}")
    maps = {name: _from_json(value["maps"][name.value]) for name in PolicyMap}
    config = SlotConfig(
        0,
        Verdict(value["default_verdict"]),
        EntryFlag(value["default_flags"]),
        SlotFlag(value["slot_flags"]),
        bytes.fromhex(value["digest"]),
    )
    if digest_of(config, maps) != config.digest:
        raise ValueError("its entries are not those its digest was made of")
    return SlotContents(maps, config)


def _to_json(entries: Entries) -> dict[str, str]:
    return {key.hex(): value.hex() for key, value in sorted(entries.items())}


def _from_json(value: dict[str, Any]) -> Entries:
    return {bytes.fromhex(key): bytes.fromhex(text) for key, text in value.items()}
