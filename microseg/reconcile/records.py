"""What the state directory remembers, as values and as JSON. Reading is strict: see `StateFileError`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from microseg.memo import Each, Last, Memo
from microseg.reconcile.dataplane import Attachment, Hook
from microseg.reconcile.revision import Revision
from microseg.sections import sections_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FORMAT = 1
"""Version of every file of the state directory."""

Json: TypeAlias = dict[str, Any]


class Operation(Enum):
    """What somebody did; the value is the word of the command line."""

    APPLY = "apply"
    ROLLBACK = "rollback"
    CONFIRM = "confirm"
    RESTORE = "restore"
    ATTACH = "attach"
    DETACH = "detach"


class Outcome(Enum):
    """How it ended; the value is the word that is shown."""

    DONE = "done"
    UNCHANGED = "unchanged"
    """The kernel already held exactly this."""
    REFUSED = "refused"
    """The policy was wrong, or a guard said no; the kernel was not touched."""
    FAILED = "failed"
    """A step failed, and what it had begun was taken back."""


@dataclass(frozen=True, slots=True)
class Attribution:
    """Where a rule comes from.

    Attributes:
        policy: its name; empty for the default.
        text: the rule, in its canonical words.
        path: the file, relative to the policy directory; empty when the text doesn't say it.
        line: from 1; 0 without a file.

    """

    policy: str
    text: str
    path: str = ""
    line: int = 0

    @property
    def place(self) -> str:
        """The place for people, such as `shop.mseg:12`; empty when there is none."""
        return f"{self.path}:{self.line}" if self.path else ""


@dataclass(frozen=True, slots=True)
class Names:
    """What the numbers in the kernel's maps mean, for people.

    Attributes:
        rules: by rule id, in the order of evaluation; 0 is the default.
        sets: by set id.
        services: by service id.

    """

    rules: Mapping[int, Attribution] = field(default_factory=dict)
    sets: Mapping[int, str] = field(default_factory=dict)
    services: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GenerationNote:
    """What is known of one generation; written down before it can judge a packet."""

    generation: int
    digest: bytes
    revision: Revision | None
    staged_at: datetime
    names: Names


@dataclass(frozen=True, slots=True)
class Applied:
    """A generation that came into force.

    Attributes:
        generation: its number; unique in this state directory.
        digest: of its entries and defaults.
        revision: of the text it was made from; None outside git.
        at: when it came into force, UTC.
        who: who asked for it.
        operation: how it came into force.

    """

    generation: int
    digest: bytes
    revision: Revision | None
    at: datetime
    who: str
    operation: Operation


@dataclass(frozen=True, slots=True)
class State:
    """What is in force and what was before it, as far as this directory knows.

    Attributes:
        current: in force; of a generation that was not confirmed in time, the kernel knows better.
        previous: in force before it.
        confirmed: what is to be in force after a restart: the last one that nothing takes back by itself.
        attached: where it is to be in force then; also where the interface is gone.

    """

    current: Applied | None = None
    previous: Applied | None = None
    confirmed: Applied | None = None
    attached: tuple[Attachment, ...] = ()

    def attached_with(self, now: Sequence[Attachment]) -> tuple[Attachment, ...]:
        """Return where it is to be in force, given where it is now: only detach makes that less."""
        every = {it.interface: it for it in (*self.attached, *now)}
        return tuple(every[name] for name in sorted(every))


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One line of the history.

    Attributes:
        at: when it ended, UTC.
        who: who asked for it.
        operation: what.
        outcome: how it ended.
        generation: in force afterwards; 0: none.
        revision: the one that was to be applied; None outside git.
        digest: of the desired entries; empty when it didn't come to that.
        duration_ms: from the lock to the end.
        detail: what changed or what went wrong, in one line.
        plan: number of the saved plan it carried out; empty without one.

    """

    at: datetime
    who: str
    operation: Operation
    outcome: Outcome
    generation: int
    revision: Revision | None
    digest: bytes
    duration_ms: int
    detail: str
    plan: str = ""


def state_to_json(state: State) -> Json:
    """Return the content of state.json."""
    return {
        "format": FORMAT,
        "current": _applied_to_json(state.current),
        "previous": _applied_to_json(state.previous),
        "confirmed": _applied_to_json(state.confirmed),
        "attached": [{"interface": it.interface, "hook": it.hook.value} for it in state.attached],
    }


def state_from_json(value: Json) -> State:
    """Read state.json; raises KeyError, TypeError or ValueError for anything else."""
    _check_format(value)
    return State(
        _applied_from_json(value["current"]),
        _applied_from_json(value["previous"]),
        _applied_from_json(value["confirmed"]),
        tuple(Attachment(str(it["interface"]), Hook(it["hook"])) for it in value["attached"]),
    )


@dataclass(slots=True)
class NoteTexts:
    """What was written down before.

    Attributes:
        rules: the JSON of each section of them.
        sets, services: the JSON of all of them.
        names: the JSON of all these together.
        last: the last file, and what it says.

    """

    rules: Each[Mapping[int, Attribution], bytes] = field(default_factory=Each)
    sets: Last[Mapping[int, str], str] = field(default_factory=Last)
    services: Last[Mapping[int, str], str] = field(default_factory=Last)
    names: Memo[bytes] = field(default_factory=Memo)
    last: tuple[bytes, GenerationNote] | None = None

    def put(self, names: Names) -> bytes:
        """Put names into JSON: the last members of an object, and its end. Once, if they are the same."""
        return self.names.find((names,)) or self.names.keep(self._all(names), (names,))

    def _all(self, names: Names) -> bytes:
        sets = self.sets.of(partial(_names_to_text, names.sets), names.sets)
        services = self.services.of(partial(_names_to_text, names.services), names.services)
        rules = b", ".join(filter(None, self.rules.of(sections_of(names.rules), _rules_to_text)))
        self.names.age()
        return f'"sets": {sets}, "services": {services}, "rules": {{'.encode() + rules + b"}}"


def note_to_bytes(note: GenerationNote, known: NoteTexts | None = None) -> bytes:
    """Return the content of a generation's file, JSON; the text of what is known is as before."""
    value = {
        "format": FORMAT,
        "generation": note.generation,
        "digest": note.digest.hex(),
        "revision": revision_to_json(note.revision),
        "staged_at": note.staged_at.isoformat(),
    }
    head = json.dumps(value, ensure_ascii=False)[:-1]
    return f"{head}, ".encode() + (known or NoteTexts()).put(note.names)


def _names_to_text(names: Mapping[int, str], before: str | None) -> str:
    del before
    return json.dumps({str(number): name for number, name in sorted(names.items())}, ensure_ascii=False)


def _rules_to_text(rules: Mapping[int, Attribution]) -> bytes:
    values = {
        str(rule_id): {"policy": rule.policy, "text": rule.text, "file": rule.path, "line": rule.line}
        for rule_id, rule in rules.items()
    }
    return json.dumps(values, ensure_ascii=False)[1:-1].encode()


def note_from_json(value: Json) -> GenerationNote:
    """Read a generation's file; raises KeyError, TypeError or ValueError for anything else."""
    _check_format(value)
    rules = {
        int(rule_id): Attribution(
            str(rule["policy"]), str(rule["text"]), str(rule["file"]), int(rule["line"])
        )
        for rule_id, rule in value["rules"].items()
    }
    sets = {int(set_id): str(name) for set_id, name in value["sets"].items()}
    services = {int(service_id): str(name) for service_id, name in value["services"].items()}
    return GenerationNote(
        int(value["generation"]),
        bytes.fromhex(value["digest"]),
        revision_from_json(value["revision"]),
        datetime.fromisoformat(value["staged_at"]),
        Names(rules, sets, services),
    )


def history_to_json(entry: HistoryEntry) -> Json:
    """Return a line of the history."""
    return {
        "format": FORMAT,
        "at": entry.at.isoformat(),
        "who": entry.who,
        "operation": entry.operation.value,
        "outcome": entry.outcome.value,
        "generation": entry.generation,
        "revision": revision_to_json(entry.revision),
        "digest": entry.digest.hex(),
        "duration_ms": entry.duration_ms,
        "detail": entry.detail,
        "plan": entry.plan,
    }


def history_from_json(value: Json) -> HistoryEntry:
    """Read a line of the history; raises KeyError, TypeError or ValueError for anything else."""
    _check_format(value)
    return HistoryEntry(
        datetime.fromisoformat(value["at"]),
        str(value["who"]),
        Operation(value["operation"]),
        Outcome(value["outcome"]),
        int(value["generation"]),
        revision_from_json(value["revision"]),
        bytes.fromhex(value["digest"]),
        int(value["duration_ms"]),
        str(value["detail"]),
        str(value.get("plan", "")),
    )


def revision_to_json(revision: Revision | None) -> Json | None:
    """Return a revision for JSON."""
    if revision is None:
        return None
    return {"commit": revision.commit, "subject": revision.subject, "dirty": revision.dirty}


def revision_from_json(value: Json | None) -> Revision | None:
    """Read a revision; raises KeyError or TypeError for anything else."""
    if value is None:
        return None
    return Revision(str(value["commit"]), str(value["subject"]), bool(value["dirty"]))


def _applied_to_json(applied: Applied | None) -> Json | None:
    if applied is None:
        return None
    return {
        "generation": applied.generation,
        "digest": applied.digest.hex(),
        "revision": revision_to_json(applied.revision),
        "at": applied.at.isoformat(),
        "who": applied.who,
        "operation": applied.operation.value,
    }


def _applied_from_json(value: Json | None) -> Applied | None:
    if value is None:
        return None
    return Applied(
        int(value["generation"]),
        bytes.fromhex(value["digest"]),
        revision_from_json(value["revision"]),
        datetime.fromisoformat(value["at"]),
        str(value["who"]),
        Operation(value["operation"]),
    )


def _check_format(value: Json) -> None:
    if value["format"] != FORMAT:
        raise ValueError(f"written in format {value['format']!r}, this version reads format {FORMAT}")
