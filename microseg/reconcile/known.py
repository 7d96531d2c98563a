"""What the state directory knows of what the kernel holds. Where they differ, the kernel is right."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from microseg.reconcile.errors import StateFileError
from microseg.reconcile.records import Applied, GenerationNote, Names, Operation, State

if TYPE_CHECKING:
    from microseg.reconcile.observed import Observed
    from microseg.reconcile.records import NoteTexts
    from microseg.reconcile.revision import Revision
    from microseg.reconcile.state import StateStore


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the generation in force.

    Attributes:
        state: what is recorded; empty when the file can't be read.
        applied: how the generation came into force; None when nothing is known of it, or none is in force.
        note: revision and names of the generation; None when nothing is known of it.
        problems: what could not be read or doesn't fit the kernel, for people.

    """

    state: State = field(default_factory=State)
    applied: Applied | None = None
    note: GenerationNote | None = None
    problems: tuple[str, ...] = ()

    @property
    def revision(self) -> Revision | None:
        """The revision of the text in force, when it's known."""
        if self.applied:
            return self.applied.revision
        return self.note.revision if self.note else None

    @property
    def names(self) -> Names:
        """What the numbers in force mean, as far as it is known."""
        return self.note.names if self.note else Names()


def recall(
    store: StateStore, observed: Observed, texts: NoteTexts | None = None, *, with_names: bool = True
) -> Known:
    """Return what is known of the generation in force; raises OSError when the directory can't be read.

    Args:
        store: the state directory.
        observed: the kernel's state.
        texts: what this process has written before.
        with_names: without, it takes no longer for a large policy than for a small one.

    """
    problems: list[str] = []
    try:
        state = store.read_state()
    except StateFileError as error:
        problems.append(error.message)
        state = State()
    if not observed.generation:
        return Known(state, problems=tuple(problems))
    applied = _recorded(state, observed)
    note = _note(store, observed, problems, texts) if with_names or applied is None else None
    if applied is None and note is not None:
        applied = _of_note(note)
    if applied is None:
        problems.append(f"nothing is recorded of generation {observed.generation}, which the kernel holds")
    return Known(state, applied, note, tuple(problems))


def _note(
    store: StateStore, observed: Observed, problems: list[str], texts: NoteTexts | None
) -> GenerationNote | None:
    try:
        return store.read_note(observed.generation, observed.configs[observed.live].digest, texts)
    except StateFileError as error:
        problems.append(error.message)
        return None


def _recorded(state: State, observed: Observed) -> Applied | None:
    digest = observed.configs[observed.live].digest
    for applied in (state.current, state.previous):
        if applied and (applied.generation, applied.digest) == (observed.generation, digest):
            return applied
    return None


def _of_note(note: GenerationNote) -> Applied:
    """Return what must have happened when a process was killed before it could record it."""
    return Applied(note.generation, note.digest, note.revision, note.staged_at, "unknown", Operation.APPLY)
