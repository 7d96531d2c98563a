"""What slots held when this process last saw them whole: a large slot needn't be read to know what to change.

It is only ever a guess that saves work. What is staged on it is read back and compared, whole, before it is
used (I2), and staged anew on what is really there when the guess was wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from microseg.abi import SlotContents
from microseg.reconcile.readback import Readings
from microseg.reconcile.records import NoteTexts

if TYPE_CHECKING:
    from microseg.abi import SlotConfig

KEPT = 3
"""Both slots, and what is about to be staged."""


class Remembered:
    """The contents seen last, by their digest.

    Attributes:
        readings: what their maps gave when they were read.
        note_texts: the JSON of what was written down.

    """

    def __init__(self) -> None:
        self._contents: dict[bytes, SlotContents] = {}
        self.readings = Readings()
        self.note_texts = NoteTexts()

    def see(self, contents: SlotContents) -> None:
        """Remember contents whose digest is that of their entries."""
        digest = contents.config.digest
        self._contents.pop(digest, None)
        self._contents[digest] = contents
        while len(self._contents) > KEPT:
            del self._contents[next(iter(self._contents))]

    def slot_of(self, config: SlotConfig) -> SlotContents | None:
        """Return what a slot with this config held when it was seen; None: it wasn't."""
        seen = self._contents.get(config.digest)
        return SlotContents(seen.maps, config) if seen else None

    def recognize(self, contents: SlotContents) -> SlotContents | None:
        """Return what was seen if a slot holds exactly that, as it says; None: it may hold something else."""
        seen = self.slot_of(contents.config)
        known = self._contents.get(contents.config.digest)
        if seen is None or known is None or _defaults(known) != _defaults(contents):
            return None
        return seen if seen.maps == contents.maps else None


def _defaults(contents: SlotContents) -> tuple[object, ...]:
    """Return what the digest is made of besides entries."""
    config = contents.config
    return config.default_verdict, config.default_flags, config.slot_flags
