"""Which rule of which commit a rule id of a generation stands for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from microseg.reconcile.errors import StateFileError

if TYPE_CHECKING:
    from microseg.reconcile.records import Attribution, GenerationNote
    from microseg.reconcile.revision import Revision
    from microseg.reconcile.state import StateStore


@dataclass(frozen=True, slots=True)
class Blame:
    """Where a decision comes from; None for what is not known."""

    rule: Attribution | None
    revision: Revision | None


class Attributor:
    """Reads each generation's note once."""

    def __init__(self, store: StateStore) -> None:
        self._store = store
        self._notes: dict[int, GenerationNote | None] = {}

    def blame(self, generation: int, rule_id: int) -> Blame:
        """Return the rule and the revision of a decision; raises OSError when the records can't be read."""
        note = self._note(generation)
        if note is None:
            return Blame(None, None)
        return Blame(note.names.rules.get(rule_id), note.revision)

    def _note(self, generation: int) -> GenerationNote | None:
        if generation not in self._notes:
            try:
                self._notes[generation] = self._store.read_note(generation)
            except StateFileError:
                self._notes[generation] = None
        return self._notes[generation]
