"""The steps of an apply, each with what takes it back. They run in the order of `apply.STEPS`."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from microseg.abi import Root
from microseg.reconcile import blast, evidence, guards, probing, saved, staging
from microseg.reconcile.dataplane import NotLoadedError
from microseg.reconcile.errors import VerifyError
from microseg.reconcile.known import recall
from microseg.reconcile.observed import read_live, read_observed, read_slot
from microseg.reconcile.plan import plan
from microseg.reconcile.records import Applied, GenerationNote, HistoryEntry, Outcome, State

if TYPE_CHECKING:
    from microseg.reconcile.dataplane import DataPlane
    from microseg.reconcile.desired import Desired
    from microseg.reconcile.transaction import Transaction


CLOCK_STEP_S = 1
"""The clock of the deadline counts whole seconds: nobody gets less time than was asked for."""


def lock(tx: Transaction) -> None:
    """Keep other writers out."""
    tx.lock.acquire()
    tx.warnings += tx.host.store.set_aside()


def read(tx: Transaction) -> None:
    """Read what the kernel holds now, and what is known of it."""
    tx.observed, tx.live = read_live(tx.host.plane, tx.host.remembered.readings)
    tx.recognized = tx.host.remembered.recognize(tx.live)
    tx.known = recall(tx.host.store, tx.observed, tx.host.remembered.note_texts)
    tx.warnings += tx.known.problems


def compile_policy(tx: Transaction) -> None:
    """Compile the text and compare it with what is in force."""
    wanted, upgrade, recorded = tx.wanted(), tx.upgrade(), tx.host.store.newest_generation()
    tx.desired = tx.request.compile(tx.capacities())
    tx.plan = plan(
        tx.desired,
        tx.observed,
        tx.recognized or tx.live,
        wanted=wanted,
        upgrade=upgrade,
        settings=tx.request.settings,
        old_names=tx.known.names,
        digest=tx.recognized.config.digest if tx.recognized else None,
    )
    tx.generation = (
        tx.observed.next_generation(recorded) if tx.plan.replaces_policy else tx.observed.generation
    )


def guard(tx: Transaction) -> None:
    """Refuse what must not be done; the last step that touches nothing."""
    if tx.request.saved:
        saved.check(tx.request.saved, tx)
    guards.check_confirm(tx.observed)
    guards.check_return(tx.observed, tx.request.confirm_within_s)
    guards.check_interfaces(tx.observed, tx.wanted())
    guards.check_capacity(tx.desired.contents, tx.capacities())
    guards.check_tests(tx.desired, allowed=tx.request.allow_failing_tests)
    if not tx.plan.is_empty and not tx.request.allow_lockout:
        guards.check_cuts(evidence.cuts(tx.desired, tx.request.lifelines))
    if tx.request.limits:
        blast.check(tx.host.plane, tx.plan, tx.desired, tx.live, tx.request.limits)


def load(tx: Transaction) -> None:
    """Bring programs and maps into the kernel; without a policy they let everything pass.

    Maps may have been there before, with a policy that programs still judge by: this is an upgrade, somebody
    removed pins, or a process was killed while it loaded or unloaded. So what is in force is read again.
    """
    plane = tx.host.plane
    tx.fresh = not tx.observed.attachments and not _has_maps(plane)
    tx.loaded = plane.load(tx.request.sizing, debug=tx.request.debug_program)
    if tx.loaded.lost:
        tx.warnings.append(f"these maps have another layout now and begin empty: {', '.join(tx.loaded.lost)}")
    tx.observed = read_observed(plane)
    guards.check_capacity(tx.desired.contents, tx.observed.capacities)
    if tx.plan.replaces_policy:
        tx.generation = tx.observed.next_generation(tx.host.store.newest_generation())


def unload(tx: Transaction) -> None:
    """Take `load` back: the programs and maps there were before, wherever they were; else none."""
    plane = tx.host.plane
    if tx.fresh:
        if plane.is_loaded():
            plane.unload()
    elif tx.loaded and tx.loaded.previous:
        plane.take_back_load(tx.loaded.previous)


def stage(tx: Transaction) -> None:
    """Fill the standby slot. Whoever was judged by it long ago has to be through first (I1)."""
    plane, slot = tx.host.plane, tx.observed.standby
    remembered = tx.host.remembered.slot_of(tx.observed.configs[slot])
    tx.standby_before, tx.is_guess = remembered or read_slot(plane, slot), remembered is not None
    if not _was_waited_for(tx):
        plane.wait_for_readers()
    tx.staged = staging.stage(plane, slot, tx.standby_before, tx.desired.contents, tx.generation)


def _was_waited_for(tx: Transaction) -> bool:
    """Say whether somebody has waited since the switch to what is in force: who records it has done so.

    Not when the program may have gone back by itself, at a deadline.
    """
    current, observed = tx.known.state.current, tx.observed
    return current is not None and (current.generation, 0) == (observed.generation, observed.root.deadline_s)


def unstage(tx: Transaction) -> None:
    """Give the standby slot back what it held, the policy one could have gone back to.

    Not when packets were judged by the new generation: sessions remember its number, so it stays taken.
    """
    before, plane, slot = tx.standby_before, tx.host.plane, tx.observed.standby
    if before and not tx.flipped:
        staging.stage(plane, slot, read_slot(plane, slot), before, before.config.generation)


def verify(tx: Transaction) -> None:
    """Read the standby slot back, whole (I2); somebody may have altered it since it was seen."""
    plane, slot, contents = tx.host.plane, tx.observed.standby, tx.desired.contents
    readings = tx.host.remembered.readings
    try:
        staging.verify(plane, slot, contents, tx.generation, readings, meanwhile=partial(_draft_note, tx))
    except VerifyError:
        if not tx.is_guess:
            raise
        tx.staged += staging.stage(plane, slot, read_slot(plane, slot), contents, tx.generation)
        staging.verify(plane, slot, contents, tx.generation, readings)


def _draft_note(tx: Transaction) -> None:
    """Write down under another name what `note` is to say; whatever goes wrong is said there."""
    with suppress(OSError):
        tx.note_draft = tx.host.store.draft_note(_note(tx), tx.host.remembered.note_texts)


def drop_note_draft(tx: Transaction) -> None:
    """Take back what `verify` wrote."""
    if tx.note_draft:
        tx.note_draft.remove()


def probe(tx: Transaction) -> None:
    """Ask the kernel about packets by the standby slot; nothing live takes part (I4)."""
    plane, desired, request = tx.host.plane, tx.desired, tx.request
    if not request.allow_lockout:
        guards.check_kept(plane, tx.generation, request.lifelines, desired.names)
    probing.probe(plane, tx.generation, evidence.expected(desired, request.lifelines), desired.names)


def note(tx: Transaction) -> None:
    """Write down what the new generation is before it judges a packet, so that a crash can't lose it."""
    tx.host.store.write_note(tx.note_draft or _note(tx), tx.host.remembered.note_texts)


def forget(tx: Transaction) -> None:
    """Take `note` back."""
    if not tx.flipped:
        tx.host.store.remove_note(tx.generation)


def attach(tx: Transaction) -> None:
    """Attach where the program isn't yet: still the old policy there, or none.

    Before the switch, because an attachment can fail for many reasons and a store for none. Connections that
    are older than the attachment get the time to show themselves.
    """
    plane = tx.host.plane
    plane.adopt_until(plane.boot_time_s() + round(tx.request.adopt_s))
    plane.attach(tx.plan.attach)


def detach(tx: Transaction) -> None:
    """Take `attach` back: off what was free before, back to the hook that was there before."""
    plane = tx.host.plane
    ours = {attachment.interface for attachment in tx.plan.attach}
    before = [it for it in tx.observed.attachments if it.interface in ours]
    now = [it for it in plane.attachments() if it.interface in ours]
    moved = [it for it in before if it not in now]
    added = {it.interface for it in now} - {it.interface for it in before}
    if moved:
        plane.attach(moved)
    if added:
        plane.detach(sorted(added))


def flip(tx: Transaction) -> None:
    """Switch to the new generation with one store (I1), which also says until when it is to be confirmed."""
    plane, within_s = tx.host.plane, tx.request.confirm_within_s
    deadline_s = plane.boot_time_s() + within_s + CLOCK_STEP_S if within_s else 0
    tx.flipped = True
    plane.write_root(Root(tx.generation, deadline_s))


def flip_back(tx: Transaction) -> None:
    """Switch back to the root word as it was."""
    tx.host.plane.write_root(tx.observed.root)
    tx.host.plane.wait_for_readers()


def wait(tx: Transaction) -> None:
    """Wait until no packet is judged by the old generation any more (I1)."""
    tx.host.plane.wait_for_readers()


def record(tx: Transaction) -> None:
    """Write down what is in force now, and that it was done."""
    store, state = tx.host.store, _state(tx)
    _remember(tx)
    if tx.plan.load or not store.read_tags():
        store.write_tags(tx.host.plane.program_tags())
    if tx.plan.is_empty and not tx.request.saved and _is_recorded(tx, state):
        return
    if not tx.plan.replaces_policy:
        store.write_note(_note(tx), tx.host.remembered.note_texts)
    store.write_image(tx.generation, tx.desired.contents)  # before the state that names it
    store.write_state(state)
    outcome = Outcome.UNCHANGED if tx.plan.is_empty else Outcome.DONE
    store.append_history(history_entry(tx, outcome, tx.desired, tx.generation, _detail(tx)))
    store.prune(state)


def _remember(tx: Transaction) -> None:
    """Keep in mind what both slots hold, as far as it is what they say."""
    if tx.plan.observed == tx.live.config.digest:
        tx.host.remembered.see(tx.recognized or tx.live)
    tx.host.remembered.see(tx.desired.contents)


def history_entry(
    tx: Transaction, outcome: Outcome, desired: Desired | None, generation: int, detail: str
) -> HistoryEntry:
    """Return a line for the history; the generation is the one in force afterwards."""
    return HistoryEntry(
        at=tx.host.now(),
        who=tx.request.operator.who,
        operation=tx.request.operation,
        outcome=outcome,
        generation=generation,
        revision=desired.revision if desired else None,
        digest=desired.contents.config.digest if desired else b"",
        duration_ms=tx.duration_ms(),
        detail=detail,
        plan=tx.request.saved.number if tx.request.saved else "",
    )


def _has_maps(plane: DataPlane) -> bool:
    try:
        plane.read_root()
    except NotLoadedError:
        return False
    return True


def _state(tx: Transaction) -> State:
    """Return what is in force now. What waits to be confirmed is not what a restart brings back."""
    before, applied = tx.known.state, _applied(tx)
    replaced = tx.plan.replaces_policy
    return State(
        current=applied,
        previous=tx.known.applied if replaced else before.previous,
        confirmed=before.confirmed if replaced and tx.request.confirm_within_s else applied,
        attached=before.attached_with(tx.host.plane.attachments()),
    )


def _is_recorded(tx: Transaction, state: State) -> bool:
    """Say whether what is recorded of the generation in force is what would be recorded now."""
    known, desired = tx.known, tx.desired
    return (
        known.applied is not None
        and known.applied == known.state.current == known.state.confirmed
        and known.state.attached == state.attached
        and tx.host.store.has_image(tx.generation)
        and known.note is not None
        and (known.note.revision, known.note.names) == (desired.revision, desired.names)
    )


def _note(tx: Transaction) -> GenerationNote:
    desired = tx.desired
    return GenerationNote(
        tx.generation, desired.contents.config.digest, desired.revision, tx.host.now(), desired.names
    )


def _applied(tx: Transaction) -> Applied:
    desired = tx.desired
    return Applied(
        tx.generation,
        desired.contents.config.digest,
        desired.revision,
        tx.host.now(),
        tx.request.operator.who,
        tx.request.operation,
    )


def _detail(tx: Transaction) -> str:
    """Return what was done, in one line."""
    plan = tx.plan
    totals = [sum(column) for column in zip(*plan.counts().values(), strict=True)]
    parts = [f"entries: {totals[0]} created, {totals[1]} updated, {totals[2]} deleted"]
    if plan.default and plan.default.before:
        parts.append("another default")
    if plan.upgrade:
        parts.append("program and maps were replaced: " + ", ".join(plan.upgrade))
    if plan.attach:
        parts.append("attached to " + ", ".join(attachment.interface for attachment in plan.attach))
    if plan.settings:
        parts.append("set " + ", ".join(f"{one.name} = {one.after}" for one in plan.settings))
    if plan.replaces_policy and tx.request.confirm_within_s:
        parts.append(f"to be confirmed within {tx.request.confirm_within_s} s")
    return "nothing changed in the kernel" if plan.is_empty else "; ".join(parts)
