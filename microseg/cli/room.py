"""How much of each kernel map a policy takes, and what takes the most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from microseg.abi import PolicyMap
from microseg.cli import terminal
from microseg.cli.terminal import Align
from microseg.compiler.limits import contributors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from microseg.reconcile.desired import Desired

NEARLY_FULL_PERCENT = 75


@dataclass(frozen=True, slots=True)
class Room:
    """The need of one map.

    Attributes:
        name: of the map.
        needed: entries.
        capacity: entries that fit.
        most: what needs the most of them, each with how many.

    """

    name: PolicyMap
    needed: int
    capacity: int
    most: tuple[str, ...]

    @property
    def percent(self) -> int:
        """How much of the map is taken, rounded down."""
        return 100 * self.needed // self.capacity


def of(desired: Desired, capacities: Mapping[PolicyMap, int]) -> tuple[Room, ...]:
    """Return the need of every map."""
    assert desired.compilation is not None, "only what was compiled from text is planned"
    image = desired.compilation.image
    assert image is not None, "only a policy without errors is planned"
    return tuple(
        Room(name, len(desired.contents.maps[name]), capacities[name], tuple(contributors(image, name)))
        for name in PolicyMap
    )


def warning(rooms: Sequence[Room]) -> str:
    """Return what to say of maps that are nearly full, empty when none is."""
    return "; ".join(
        f"{it.name.value} needs {it.needed} of {it.capacity} entries ({it.percent}%), "
        f"most of them for {', '.join(it.most)}"
        for it in rooms
        if it.percent >= NEARLY_FULL_PERCENT
    )


def show(rooms: Sequence[Room]) -> None:
    """Print a table."""
    terminal.say()
    terminal.table(
        ("Map", "Needed", "Room", "Full", "Most of it for"),
        [
            (it.name.value, str(it.needed), str(it.capacity), f"{it.percent}%", ", ".join(it.most))
            for it in rooms
        ],
        (Align.LEFT, Align.RIGHT, Align.RIGHT, Align.RIGHT, Align.LEFT),
    )


def objects(rooms: Sequence[Room]) -> dict[str, dict[str, object]]:
    """Return it for JSON, by map."""
    return {
        it.name.value: {"needed": it.needed, "capacity": it.capacity, "most": list(it.most)} for it in rooms
    }
