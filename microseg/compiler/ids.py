"""Stable 32-bit ids: a hash of what a thing is called, so that a commit changes only what it touches."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from microseg.policy.rules import OrderedRule


def first(kind: str, names: Iterable[str]) -> dict[str, int]:
    """Return the id that each name gets, unless another is in its way."""
    return {name: _hash(kind, name, 0) for name in names}


def settle(kind: str, wanted: Mapping[str, int]) -> dict[str, int]:
    """Return the ids of names that can't have the one they want: it is 0, or another name's."""
    numbers = set(wanted.values())
    if len(numbers) == len(wanted) and 0 not in numbers:
        return {}
    return {name: number for name, number in assign(kind, wanted).items() if wanted[name] != number}


def assign(kind: str, names: Iterable[str]) -> dict[str, int]:
    """Return an id for each name; 0 is never given out.

    Names whose hashes collide are told apart by hashing again, in the order of the names, so the result
    depends on nothing but the names.
    """
    ids: dict[str, int] = {}
    taken = {0}
    for name in sorted(set(names)):
        attempt = 0
        while (candidate := _hash(kind, name, attempt)) in taken:
            attempt += 1
        taken.add(candidate)
        ids[name] = candidate
    return ids


def rule_names(rules: Iterable[OrderedRule]) -> list[str]:
    """Return what each rule is called for its id: its policy, its meaning, and which repetition it is."""
    seen: Counter[str] = Counter()
    names: list[str] = []
    for ordered in rules:
        name = f"{ordered.policy.name}\n{ordered.rule.canonical()}"
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name}\n{seen[name]}")
    return names


def _hash(kind: str, name: str, attempt: int) -> int:
    text = f"{kind}\n{attempt}\n{name}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
