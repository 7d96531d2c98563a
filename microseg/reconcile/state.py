"""The state directory: what is in force, what was, and what its numbers mean.

It helps people and never decides: the kernel is the truth. A file that can't be read is set aside by the
next writer and treated as absent by everybody.

    state.json              current, previous and confirmed generation
    programs.json           tags of the programs that were loaded
    last-failure.log        the compiler's or verifier's words when a program could last not be loaded
    history.jsonl           one line for each change or attempt
    generations/N.json      revision, digest and names of generation N, written before it comes into force
    generations/N.image.gz  its entries, as long as a rollback or a restart may need them
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from microseg.reconcile import durable, image_file, records
from microseg.reconcile.errors import StateFileError
from microseg.reconcile.records import GenerationNote, HistoryEntry, State

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from microseg.abi import SlotContents
    from microseg.reconcile.records import NoteTexts

    Value = TypeVar("Value")

KEPT_GENERATIONS = 32
"""Files of generations that are kept; older events can't be attributed any more."""

_IMAGE_SUFFIX = ".image.gz"

_UNREADABLE = (KeyError, TypeError, ValueError, AttributeError)
"""What strict reading raises for content that isn't ours; undecodable text and JSON are ValueErrors."""


class NoteDraft(NamedTuple):
    """A note that is on the disk under a name of its own.

    Attributes:
        note: what it says.
        content: of the file.
        path: where it is until it is put in its place.

    """

    note: GenerationNote
    content: bytes
    path: Path

    def remove(self) -> None:
        """Remove it, unless it was put in its place. Raises OSError."""
        self.path.unlink(missing_ok=True)


class StateStore:
    """One instance's state directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._state = root / "state.json"
        self._programs = root / "programs.json"
        self._log = root / "last-failure.log"
        self._history = root / "history.jsonl"
        self._generations = root / "generations"

    def read_state(self) -> State:
        """Return what is recorded; empty when nothing is.

        Raises:
            StateFileError: the file isn't ours, or broken.
            OSError: it can't be read.

        """
        return _read(self._state, records.state_from_json) or State()

    def read_note(
        self, generation: int, digest: bytes | None = None, known: NoteTexts | None = None
    ) -> GenerationNote | None:
        """Return what is known of a generation, None when nothing is or when its digest is another.

        Args:
            generation: which.
            digest: of its entries.
            known: what was written before: a file that is as it was written isn't taken apart.

        Raises:
            StateFileError: the file isn't ours, or broken.
            OSError: it can't be read.

        """
        path, last = self._note_path(generation), known.last if known else None
        content = _content(path)
        if content is None:
            return None
        note = last[1] if last and last[0] == content else _decoded(path, content, records.note_from_json)
        if note.generation != generation or digest not in (None, note.digest):
            return None
        return note

    def read_history(self) -> list[HistoryEntry]:
        """Return the history, oldest first; lines that can't be read are left out. Raises OSError."""
        try:
            lines = self._history.read_bytes().splitlines()
        except FileNotFoundError:
            return []
        entries = []
        for line in lines:
            try:
                entries.append(records.history_from_json(json.loads(line)))
            except _UNREADABLE:
                continue
        return entries

    def write_state(self, state: State) -> None:
        """Record what is in force. Raises OSError."""
        content = json.dumps(records.state_to_json(state), ensure_ascii=False, indent=1)
        durable.write(self._state, content.encode() + b"\n")

    def draft_note(self, note: GenerationNote, known: NoteTexts | None = None) -> NoteDraft:
        """Write a note, with the help of what was written before, where nobody reads it. Raises OSError."""
        content = records.note_to_bytes(note, known)
        return NoteDraft(note, content, durable.draft(self._note_path(note.generation), content))

    def write_note(self, note: GenerationNote | NoteDraft, known: NoteTexts | None = None) -> None:
        """Record what a generation is; a draft is only put in its place. Raises OSError."""
        draft = note if isinstance(note, NoteDraft) else self.draft_note(note, known)
        durable.publish(draft.path, self._note_path(draft.note.generation))
        if known:
            known.last = draft.content, draft.note

    def remove_note(self, generation: int) -> None:
        """Forget a generation that never came into force. Raises OSError."""
        self._note_path(generation).unlink(missing_ok=True)
        self._image_path(generation).unlink(missing_ok=True)

    def write_image(self, generation: int, contents: SlotContents) -> None:
        """Record the entries of a generation. Raises OSError."""
        durable.write(self._image_path(generation), image_file.to_bytes(contents))

    def has_image(self, generation: int) -> bool:
        """Say whether the entries of a generation are recorded."""
        return self._image_path(generation).exists()

    def read_image(self, generation: int, digest: bytes) -> SlotContents:
        """Return the entries of a generation, which have this digest.

        Raises:
            StateFileError: the file is missing, broken, or not of that digest.
            OSError: it can't be read.

        """
        path = self._image_path(generation)
        try:
            contents = image_file.from_bytes(path.read_bytes())
        except FileNotFoundError as error:
            raise StateFileError(f"{path} is missing") from error
        except _UNREADABLE as error:
            raise StateFileError(f"{path} can't be used: {error}") from error
        if contents.config.digest != digest:
            raise StateFileError(f"{path} holds another policy than was recorded")
        return contents

    def set_image_aside(self, generation: int) -> str:
        """Rename the file of a generation's entries and return its new name, if any. Raises OSError."""
        path = self._image_path(generation)
        if not path.exists():
            return ""
        aside = _free_name(path)
        path.rename(aside)
        return aside.name

    def write_tags(self, tags: Mapping[str, str]) -> None:
        """Record the tags of the programs that are loaded. Raises OSError."""
        if tags != self.read_tags():
            content = json.dumps({"format": records.FORMAT, "tags": dict(tags)}, indent=1)
            durable.write(self._programs, content.encode() + b"\n")

    def read_tags(self) -> Mapping[str, str]:
        """Return the tags of the programs that were loaded; empty when nothing is known. Raises OSError."""
        try:
            return _read(self._programs, _tags_from_json) or {}
        except StateFileError:
            return {}

    def write_log(self, log: str) -> Path:
        """Keep the compiler's or verifier's words of the last failure; return where. Raises OSError."""
        durable.write(self._log, log.encode(errors="replace") + b"\n")
        return self._log

    def append_history(self, entry: HistoryEntry) -> None:
        """Add a line to the history. Raises OSError."""
        line = json.dumps(records.history_to_json(entry), ensure_ascii=False)
        durable.append_line(self._history, line.encode())

    def newest_generation(self) -> int:
        """Return the highest generation there is a file of, 0 when there is none. Raises OSError."""
        return max(self._numbers(), default=0)

    def generations(self) -> list[int]:
        """Return the generations there are files of, the newest first. Raises OSError."""
        return sorted(self._numbers(), reverse=True)

    def set_aside(self) -> list[str]:
        """Rename what can't be read, and remove what a killed writer left; return what was done, for people.

        Only under the lock. Raises OSError.
        """
        durable.remove_temporaries(self.root)
        durable.remove_temporaries(self._generations)
        try:
            self.read_state()
        except StateFileError as error:
            aside = _free_name(self._state)
            self._state.rename(aside)
            return [f"{error.message}; it was set aside as {aside.name}, the kernel's own state counts"]
        return []

    def prune(self, state: State) -> None:
        """Remove the files of old generations, and entries the state doesn't name. Raises OSError."""
        for number in sorted(self._numbers())[:-KEPT_GENERATIONS]:
            self._note_path(number).unlink(missing_ok=True)
        named = [it for it in (state.current, state.previous, state.confirmed) if it]
        kept = {self._image_path(applied.generation) for applied in named}
        for path in self._generations.glob(f"*{_IMAGE_SUFFIX}"):
            if path not in kept:
                path.unlink(missing_ok=True)

    def _numbers(self) -> list[int]:
        if not self._generations.is_dir():
            return []
        return [int(path.stem) for path in self._generations.glob("*.json") if path.stem.isdecimal()]

    def _note_path(self, generation: int) -> Path:
        return self._generations / f"{generation}.json"

    def _image_path(self, generation: int) -> Path:
        return self._generations / f"{generation}{_IMAGE_SUFFIX}"


def _read(path: Path, decode: Callable[[records.Json], Value]) -> Value | None:
    """Return a file's value, None when there is no such file."""
    content = _content(path)
    return None if content is None else _decoded(path, content, decode)


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _decoded(path: Path, content: bytes, decode: Callable[[records.Json], Value]) -> Value:
    try:
        return decode(json.loads(content))
    except _UNREADABLE as error:
        reason = f"{type(error).__name__}: {error}"
        raise StateFileError(f"{path} is not a state file of this version ({reason})") from error


def _tags_from_json(value: records.Json) -> dict[str, str]:
    return {str(name): str(tag) for name, tag in value["tags"].items()}


def _free_name(path: Path) -> Path:
    """Return the first name `NAME.broken-N` that nothing has."""
    number = 1
    while (aside := path.with_name(f"{path.name}.broken-{number}")).exists():
        number += 1
    return aside
