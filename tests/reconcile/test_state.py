from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reconcile.fake import FakeDataPlane
from reconcile.worlds import host_of, policy, request_for

from microseg.abi import Root
from microseg.reconcile import durable, records
from microseg.reconcile.apply import apply
from microseg.reconcile.errors import StateFileError
from microseg.reconcile.records import (
    Applied,
    Attribution,
    GenerationNote,
    HistoryEntry,
    Names,
    NoteTexts,
    Operation,
    Outcome,
    State,
)
from microseg.reconcile.revision import Revision
from microseg.reconcile.state import KEPT_GENERATIONS, StateStore
from microseg.reconcile.status import read_status

AT = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
REVISION = Revision("a" * 40, "Grüße", dirty=True)
APPLIED = Applied(3, b"\1" * 32, REVISION, AT, "root", Operation.APPLY)
NOTE = GenerationNote(
    3, b"\1" * 32, None, AT, Names({7: Attribution("p", "allow a -> b : any", "x.mseg", 4)})
)
ENTRY = HistoryEntry(AT, "root", Operation.ROLLBACK, Outcome.DONE, 3, REVISION, b"\2" * 32, 5, "détail")

BROKEN = [
    b"",
    b"{",
    b"\xff\xfe",
    b"[]",
    b"null",
    b"7",
    b"{}",
    b'{"format": 1}',
    b'{"format": 2, "current": null, "previous": null}',
    b'{"format": 1, "current": {"generation": "x"}, "previous": null}',
    b'{"format": 1, "current": 5, "previous": null}',
]


@pytest.fixture
def store(tmp_path: Path) -> StateStore:
    return StateStore(tmp_path / "state")


def test_everything_is_read_as_it_was_written(store: StateStore) -> None:
    store.write_state(State(APPLIED, None))
    store.write_note(NOTE)
    store.append_history(ENTRY)

    assert store.read_state() == State(APPLIED, None)
    assert store.read_note(3) == NOTE
    assert store.read_history() == [ENTRY]


def test_a_note_that_is_as_it_was_written_is_not_taken_apart(store: StateStore) -> None:
    texts = NoteTexts()
    store.write_note(NOTE, texts)
    assert store.read_note(3, NOTE.digest, texts) is NOTE
    assert store.read_note(3, b"\5" * 32, texts) is None
    assert store.read_note(4, None, texts) is None

    path = store.root / "generations" / "3.json"
    path.write_bytes(path.read_bytes().replace(b"allow", b"deny "))
    altered = store.read_note(3, NOTE.digest, texts)
    assert altered is not None
    assert altered.names != NOTE.names
    path.write_bytes(b"{")
    with pytest.raises(StateFileError):
        store.read_note(3, NOTE.digest, texts)


def test_nothing_is_recorded_at_first(store: StateStore) -> None:
    assert store.read_state() == State()
    assert store.read_note(1) is None
    assert store.read_history() == []
    assert store.newest_generation() == 0
    assert store.set_aside() == []


def test_a_note_of_another_digest_is_of_another_policy(store: StateStore) -> None:
    store.write_note(NOTE)
    assert store.read_note(3, NOTE.digest) == NOTE
    assert store.read_note(3, b"\5" * 32) is None


@pytest.mark.parametrize("content", BROKEN)
def test_a_broken_or_foreign_file_is_never_trusted(store: StateStore, content: bytes) -> None:
    store.root.mkdir()
    (store.root / "state.json").write_bytes(content)

    with pytest.raises(StateFileError, match="not a state file"):
        store.read_state()
    (problem,) = store.set_aside()

    assert "state.json.broken-1" in problem
    assert (store.root / "state.json.broken-1").read_bytes() == content
    assert store.read_state() == State()


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda it: st.dictionaries(st.text(), it) | st.lists(it)
    )
)
def test_reading_json_that_is_not_ours_ends_in_the_one_error(value: object) -> None:
    for decode in (records.state_from_json, records.note_from_json, records.history_from_json):
        with pytest.raises((KeyError, TypeError, ValueError, AttributeError)):
            decode(value)  # type: ignore[arg-type]  # what a file may hold


def test_files_set_aside_are_kept_apart(store: StateStore) -> None:
    store.root.mkdir()
    for _ in range(2):
        (store.root / "state.json").write_bytes(b"{")
        store.set_aside()
    assert sorted(path.name for path in store.root.glob("*.broken-*")) == [
        "state.json.broken-1",
        "state.json.broken-2",
    ]


def test_an_apply_goes_on_without_its_records_and_says_so(tmp_path: Path) -> None:
    plane = FakeDataPlane()
    host = host_of(plane, tmp_path)
    apply(host, request_for(policy(1)))
    (host.store.root / "state.json").write_bytes(b"garbage")
    (host.store.root / "generations" / "1.json").write_bytes(b"garbage")

    assert len(read_status(host).known.problems) == 3
    result = apply(host, request_for(policy(2)))

    assert plane.root == Root(2)
    assert "was set aside as state.json.broken-1" in result.warnings[0]
    assert result.known.revision is None
    current = host.store.read_state().current
    assert current is not None
    assert current.revision == policy(2).revision


def test_a_line_cut_short_by_a_crash_costs_only_itself(store: StateStore) -> None:
    store.append_history(ENTRY)
    with (store.root / "history.jsonl").open("ab") as file:
        file.write(b'{"format": 1, "at": "20')
    store.append_history(ENTRY)

    assert store.read_history() == [ENTRY, ENTRY]


def test_old_generations_are_forgotten_and_numbers_are_not(store: StateStore) -> None:
    for number in range(1, KEPT_GENERATIONS + 6):
        store.write_note(GenerationNote(number, b"", None, AT, Names()))
    store.prune(State())

    assert store.read_note(5) is None
    assert store.read_note(6) is not None
    assert store.newest_generation() == KEPT_GENERATIONS + 5


def test_a_failed_write_leaves_the_old_file_and_no_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    durable.write(path, b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        durable.write(path, b"new")
    assert path.read_bytes() == b"old"
    assert [it.name for it in tmp_path.iterdir()] == ["file"]


def test_a_draft_of_a_note_is_nothing_until_it_is_in_its_place(store: StateStore) -> None:
    draft = store.draft_note(NOTE)
    assert (store.read_note(NOTE.generation), store.newest_generation()) == (None, 0)
    store.write_note(draft)
    assert store.read_note(NOTE.generation) == NOTE
    draft.remove()
    assert store.read_note(NOTE.generation) == NOTE
    other = store.draft_note(NOTE)
    other.remove()
    assert [path.name for path in (store.root / "generations").iterdir()] == ["3.json"]


def test_what_a_killed_writer_left_is_removed_under_the_lock(store: StateStore) -> None:
    store.write_note(NOTE)
    leftovers = [store.root / ".new-abc", store.root / "generations" / ".new-def"]
    for path in leftovers:
        path.write_bytes(b"half")
    store.set_aside()
    assert not any(path.exists() for path in leftovers)


def test_the_files_are_readable_json(store: StateStore) -> None:
    store.write_state(State(APPLIED, None))
    store.write_note(NOTE)
    state = json.loads((store.root / "state.json").read_text())
    assert state["current"]["revision"]["subject"] == "Grüße"
    note = json.loads((store.root / "generations" / "3.json").read_text())
    assert note["rules"]["7"] == {"policy": "p", "text": "allow a -> b : any", "file": "x.mseg", "line": 4}


def test_others_cannot_read_the_records(store: StateStore) -> None:
    store.write_note(NOTE)
    store.write_state(State())
    assert (store.root / "state.json").stat().st_mode & 0o777 == durable.FILE_MODE
    for folder in (store.root, store.root / "generations"):
        assert folder.stat().st_mode & 0o007 == 0
