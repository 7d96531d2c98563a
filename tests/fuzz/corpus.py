"""What the fuzzer starts from: every golden case, policies of this repository, random ones."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from fuzz.one_input import SEPARATOR
from random_policies import policy_text
from tree import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HIGHEST_SIZE = 4096
RANDOM_POLICIES = 40


def seeds() -> Iterator[bytes]:
    """Yield the contents, the longest cut off."""
    for path in sorted((ROOT / "tests" / "golden").glob("*.txt")):
        yield path.read_bytes().partition(b"-- expected")[0].partition(b" --\n")[2][:HIGHEST_SIZE]
    for folder in ("policies.d", "examples"):
        for path in sorted((ROOT / folder).rglob("*.mseg")):
            yield path.read_bytes()[:HIGHEST_SIZE]
    for seed in range(RANDOM_POLICIES):
        yield policy_text(Random(seed)).encode()[:HIGHEST_SIZE]
    yield (
        b'group a = file("l")\npolicy p { deny a -> any }\n'
        + SEPARATOR
        + b"10.0.0.1\n10.0.0.0/8 # x\n::1-::2\n"
    )


def write(folder: Path) -> None:
    """Write each into a file of its own."""
    for number, content in enumerate(seeds()):
        (folder / f"seed-{number:03}").write_bytes(content)
