"""What the kernel says now: the truth that plans start from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from microseg.abi import (
    NO_DIGEST,
    SLOTS,
    PolicyMap,
    Root,
    SlotConfig,
    SlotContents,
    digest_of,
)
from microseg.reconcile.dataplane import KernelError
from microseg.reconcile.readback import Readings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from microseg.abi_settings import Settings
    from microseg.reconcile.dataplane import Attachment, DataPlane

ATTEMPTS = 5
"""Times a reading is taken again because somebody changed the policy meanwhile."""

NOTHING = SlotContents({name: {} for name in PolicyMap}, SlotConfig())
"""What a slot that was never filled holds."""


@dataclass(frozen=True, slots=True)
class Observed:
    """The kernel's state without the entries.

    Attributes:
        loaded: our programs and maps are there.
        root: the word that says which generation is in force.
        configs: defaults, generation and digest of both slots.
        boot_time_s: seconds since boot when this was read.
        attachments: where the program is attached, sorted; also when its pins are gone.
        capacities: entries that fit each policy map of a slot; empty when nothing is loaded.
        debug_program: the programs in use trace each packet.
        settings: of the program; None when nothing is loaded.
        outdated: interfaces that run programs of an earlier load.

    """

    loaded: bool = False
    root: Root = field(default_factory=Root)
    configs: tuple[SlotConfig, SlotConfig] = (SlotConfig(), SlotConfig())
    boot_time_s: int = 0
    attachments: tuple[Attachment, ...] = ()
    capacities: Mapping[PolicyMap, int] = field(default_factory=dict)
    debug_program: bool = False
    settings: Settings | None = None
    outdated: tuple[str, ...] = ()

    @property
    def reverted(self) -> bool:
        """Whether a deadline has passed, so that the program went back to the other slot by itself."""
        return 0 < self.root.deadline_s <= self.boot_time_s

    @property
    def confirm_left_s(self) -> int:
        """Seconds until the program goes back by itself; 0 when nothing waits to be confirmed."""
        return max(0, self.root.deadline_s - self.boot_time_s) if self.root.deadline_s else 0

    @property
    def generation(self) -> int:
        """The generation that judges packets; 0: none, everything passes."""
        return self.configs[1 - self.root.slot].generation if self.reverted else self.root.generation

    @property
    def judges(self) -> bool:
        """Whether a policy is in force, and its slot is of that generation: else every packet is dropped."""
        return self.generation > 0 and self.configs[self.live].generation == self.generation

    @property
    def live(self) -> int:
        """The slot of that generation."""
        return self.generation & 1

    @property
    def standby(self) -> int:
        """The slot that no packet is judged by."""
        return 1 - self.live

    def next_generation(self, recorded: int = 0) -> int:
        """Return a number for the standby slot, above every one the kernel or the records have seen.

        A number is never used for two policies, because sessions remember the one they were judged under.
        """
        newest = max(self.root.generation, recorded, *(config.generation for config in self.configs))
        return newest + 1 + ((newest + 1 + self.standby) & 1)


def is_complete(config: SlotConfig) -> bool:
    """Say whether a slot was staged to its end: only then does its config carry defaults and a digest."""
    return config.generation > 0 and config.default_verdict is not None and config.digest != NO_DIGEST


def read_observed(plane: DataPlane) -> Observed:
    """Read everything but the entries; raises KernelError."""
    if not plane.is_loaded():
        return Observed(attachments=plane.attachments())
    return Observed(
        loaded=True,
        root=plane.read_root(),
        configs=(read_config(plane, 0), read_config(plane, SLOTS - 1)),
        boot_time_s=plane.boot_time_s(),
        attachments=plane.attachments(),
        capacities=plane.capacities(),
        debug_program=plane.is_debug_program(),
        settings=plane.read_settings(),
        outdated=plane.outdated(),
    )


def read_config(plane: DataPlane, slot: int) -> SlotConfig:
    """Return a slot's config; one that somebody scribbled on is as good as none."""
    try:
        return plane.read_config(slot)
    except ValueError:
        return SlotConfig()


def read_slot(plane: DataPlane, slot: int, readings: Readings | None = None) -> SlotContents:
    """Read all of a slot; the config is as written there, its digest included, whatever the entries are."""
    readings = readings or Readings()
    maps = {name: readings.entries(slot, name, plane.read_map(slot, name)) for name in PolicyMap}
    return SlotContents(maps, read_config(plane, slot))


def read_live(plane: DataPlane, readings: Readings | None = None) -> tuple[Observed, SlotContents]:
    """Read the policy in force, whole: taken again when it was replaced while being read.

    Args:
        plane: the kernel.
        readings: what was read before.

    Raises:
        KernelError: the kernel refused, or somebody replaces the policy faster than it can be read.

    """
    observed = read_observed(plane)
    for _ in range(ATTEMPTS):
        contents = read_slot(plane, observed.live, readings) if observed.generation else NOTHING
        again = read_observed(plane)
        if (again.root, again.generation) == (observed.root, observed.generation):
            return again, contents
        observed = again
    raise KernelError("the policy was replaced again and again while it was read", advice="try again")


def actual_digest(contents: SlotContents) -> bytes:
    """Return the digest of what is really there, not of what the config says is there."""
    return digest_of(contents.config, contents.maps)
