"""The agent against a kernel in memory: what is in force is always what some good commit compiles to."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from gitops.agent_world import GIT_ENVIRONMENT, MAIN, OPERATOR, World, git, policy
from reconcile.fake import FakeDataPlane

from microseg.agent_settings import Drift
from microseg.gitops.inbox import Message
from microseg.gitops.record import Reason, Suspension
from microseg.reconcile.apply import StepName
from microseg.reconcile.dataplane import KernelError
from microseg.reconcile.records import Outcome
from microseg.reconcile.rollback import roll_back

SYNTAX_ERROR = policy(1).replace("allow", "alow")
FAILING_TEST = policy(1).replace("expect allow", "expect deny")
EXPIRING = policy(1, more="  allow db -> web : tcp/22 expires 2026-11-22\n")


@pytest.fixture(autouse=True)
def plain_git(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in GIT_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """An agent that has applied policy 1."""
    made = World(tmp_path, FakeDataPlane())
    made.clone.push(policy(1), "the first")
    made.look()
    assert made.enforced() == made.digest(policy(1))
    return made


def heals(world: World, port: int = 2) -> None:
    """A good push is in force after the next look, without help."""
    commit = world.clone.push(policy(port), "good again")
    world.look()
    assert world.enforced() == world.digest(policy(port))
    record = world.agent.record
    assert record.applied
    assert record.applied.candidate.identity == commit
    assert (record.quarantine, record.problem, record.next_try) == (None, None, None)


def test_a_push_is_applied_once(world: World) -> None:
    heals(world)
    world.look()
    world.look()
    assert [attempt.reason for attempt in world.witness.attempts] == [Reason.NEW, Reason.NEW]
    assert [attempt.outcome for attempt in world.witness.attempts] == [Outcome.DONE, Outcome.DONE]
    record = world.agent.record
    assert record.desired == record.attempt.candidate if record.attempt else None
    assert record.confirmed == record.applied


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SYNTAX_ERROR, "shop.mseg:4:3: MS0"),
        (FAILING_TEST, "1 policy test fails, the first at shop.mseg:7:14"),
        (policy(1).replace("10.1.3.0/24", "10.1.3.0/99"), "shop.mseg:2:"),
    ],
    ids=["syntax error", "failing test", "wrong value"],
)
def test_a_wrong_policy_is_quarantined_until_the_branch_moves(world: World, text: str, said: str) -> None:
    bad = world.clone.push(text, "wrong")
    world.look()
    world.look()
    world.clock.move(hours=1)
    world.look()
    assert world.enforced() == world.digest(policy(1))
    assert [attempt.outcome for attempt in world.witness.attempts] == [Outcome.DONE, Outcome.REFUSED]
    quarantine = world.agent.record.quarantine
    assert quarantine
    assert quarantine.candidate.identity == bad
    assert said in quarantine.why
    heals(world)


def test_a_policy_directory_that_is_gone_is_quarantined(world: World) -> None:
    git(world.clone.root, "rm", "-r", "--quiet", "policies.d")
    git(world.clone.root, "commit", "--quiet", "--message=gone")
    git(world.clone.root, "push", "--quiet", "origin", MAIN)
    world.look()
    assert world.enforced() == world.digest(policy(1))
    assert world.agent.record.quarantine
    assert "has no directory policies.d" in world.agent.record.quarantine.why
    world.clone.policies.mkdir(exist_ok=True)
    heals(world)


def test_a_quarantined_commit_is_tried_again_when_somebody_asks(world: World) -> None:
    world.clone.push(FAILING_TEST)
    world.look()
    world.look(Message.ASKED)
    assert [attempt.reason for attempt in world.witness.attempts][1:] == [Reason.NEW, Reason.ASKED]
    world.control.wake(asked=True)
    world.look()
    world.look()
    assert [attempt.reason for attempt in world.witness.attempts][3:] == [Reason.ASKED]


def test_what_may_pass_is_tried_again_after_a_pause(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    world.clone.push(policy(2))
    with monkeypatch.context() as patch:
        patch.setattr("microseg.reconcile.state.StateStore.write_note", full)
        for pause_s in (10, 20):
            world.look()
            world.look()
            assert world.enforced() == world.digest(policy(1))
            assert world.agent.record.next_try == world.clock.time.replace(microsecond=0) or pause_s
            world.clock.move(seconds=pause_s)
    assert len(world.witness.attempts) == 3
    assert "No space left on device" in world.witness.attempts[-1].message
    world.look()
    assert world.enforced() == world.digest(policy(2))
    assert world.agent.record.failures == 0


def test_a_forced_push_is_followed_and_told(world: World) -> None:
    before = git(world.clone.root, "rev-parse", "HEAD")
    git(world.clone.root, "checkout", "--quiet", "--orphan", "other")
    heals(world)
    rewritten = world.agent.record.rewritten
    assert rewritten
    assert rewritten.before == before
    assert rewritten.after == git(world.clone.root, "rev-parse", "HEAD")


def test_going_on_is_not_rewriting(world: World) -> None:
    heals(world)
    assert world.agent.record.rewritten is None


def test_a_deleted_branch_leaves_what_was_fetched(world: World) -> None:
    git(world.clone.bare, "branch", "--delete", "--force", MAIN)
    world.look()
    assert world.enforced() == world.digest(policy(1))
    problem = world.agent.record.problem
    assert problem
    assert "has no branch or tag main" in problem.message
    heals(world)


def test_a_lost_remote_leaves_what_was_fetched(world: World) -> None:
    aside = world.clone.bare.with_name("aside.git")
    world.clone.bare.rename(aside)
    for _ in range(2):
        world.look()
        assert world.enforced() == world.digest(policy(1))
    problem = world.agent.record.problem
    assert problem
    assert problem.failures == 2
    assert "can't be fetched" in problem.message
    assert "git ls-remote" in problem.advice
    aside.rename(world.clone.bare)
    heals(world)


def test_without_its_remote_the_agent_still_looks_after_the_kernel(world: World) -> None:
    shutil.rmtree(world.clone.bare)
    roots = world.plane.root
    world.plane.unload()
    world.look()
    assert world.enforced() == world.digest(policy(1))
    assert world.witness.attempts[-1].reason is Reason.MISSING
    assert world.plane.root.generation > roots.generation


@pytest.mark.parametrize("damage", ["gone", "no repository", "no objects", "locked"])
def test_a_broken_clone_is_made_anew(world: World, damage: str) -> None:
    clone = world.state_dir / "clone.git"
    match damage:
        case "gone":
            shutil.rmtree(clone)
        case "no repository":
            (clone / "HEAD").unlink()
        case "no objects":
            shutil.rmtree(clone / "objects")
        case _:
            (clone / "refs" / "microseg" / "followed.lock").touch()
            (clone / "config.lock").touch()
    world.agent = world.start()
    heals(world)


def test_two_pushes_during_an_apply_are_one_more_apply(world: World) -> None:
    def push_twice() -> Iterator[None]:
        world.clone.push(policy(3), "overtaken")
        world.clone.push(policy(4), "the newest")
        yield

    world.clone.push(policy(2))
    world.witness.at, world.witness.what = StepName.STAGE, push_twice()
    world.look()
    assert world.enforced() == world.digest(policy(4))
    subjects = [
        attempt.candidate.revision.subject for attempt in world.witness.attempts if attempt.candidate.revision
    ]
    assert subjects == ["the first", "change", "the newest"]


def test_a_rollback_sets_the_commit_aside(world: World) -> None:
    bad = world.clone.push(policy(2))
    world.look()
    with world.host() as host:
        roll_back(host, OPERATOR)
    for _ in range(2):
        world.look()
        assert world.enforced() == world.digest(policy(1))
    record = world.agent.record
    assert record.quarantine
    assert record.quarantine.candidate.identity == bad
    assert "rolled back" in record.quarantine.why
    assert record.applied
    assert record.applied.generation == 1
    heals(world, 3)


def test_another_policy_in_the_kernel_is_drift(world: World) -> None:
    other = World(world.folder / "other", world.plane)
    other.state_dir = other.run_dir = world.folder / "other-state"
    other.clone.push(policy(9))
    other.look()
    assert world.enforced() == world.digest(policy(9))
    world.set(drift=Drift.REPORT)
    world.look()
    assert world.enforced() == world.digest(policy(9))
    world.set(drift=Drift.HEAL)
    world.look()
    assert world.enforced() == world.digest(policy(1))
    assert world.witness.attempts[-1].reason is Reason.DRIFT


def test_altered_entries_are_found_on_the_interval_and_healed(world: World) -> None:
    world.plane.live_maps()[
        next(name for name, entries in world.plane.live_maps().items() if entries)
    ].clear()
    assert world.enforced() != world.digest(policy(1))
    world.look()
    assert world.enforced() != world.digest(policy(1)), "not yet"
    world.clock.move(seconds=world.settings.drift_interval_s)
    world.look()
    assert world.enforced() == world.digest(policy(1))
    drift = world.agent.record.drift
    assert drift
    assert drift.differences == ()


def test_expiry_is_enforced_when_the_date_comes_without_a_commit(world: World) -> None:
    world.clone.push(EXPIRING)
    world.look()
    assert world.enforced() == world.digest(EXPIRING)
    before = world.enforced()
    world.clock.move(hours=12)
    world.look()
    assert world.enforced() == before
    world.clock.move(hours=12)
    world.look()
    assert world.enforced() == world.digest(EXPIRING) != before
    assert world.witness.attempts[-1].reason is Reason.DAY


def test_expiry_is_enforced_while_a_newer_commit_is_in_quarantine(world: World) -> None:
    world.clone.push(EXPIRING)
    world.look()
    world.clone.push(SYNTAX_ERROR)
    world.look()
    world.clock.move(days=1)
    world.look()
    assert world.enforced() == world.digest(EXPIRING)
    assert world.agent.record.quarantine


def test_a_suspended_agent_leaves_everything_as_it_is(world: World) -> None:
    world.control.suspend(Suspension("root", "incident", world.clock()))
    world.clone.push(policy(2))
    world.look(Message.ASKED)
    world.agent = world.start()
    world.look()
    assert world.enforced() == world.digest(policy(1))
    assert world.agent.record.suspension
    assert world.agent.record.suspension.why == "incident"
    world.control.resume()
    world.look()
    assert world.enforced() == world.digest(policy(2))


def test_an_unreadable_suspension_suspends(world: World) -> None:
    (world.state_dir / "suspended.json").write_text("{")
    world.clone.push(policy(2))
    world.look()
    assert world.enforced() == world.digest(policy(1))


def test_a_kernel_that_can_not_be_asked_is_no_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> None:
        raise KernelError("no")

    world.clone.push(policy(2))
    with monkeypatch.context() as patch:
        patch.setattr(world.plane, "is_loaded", refused)
        world.look()
        assert world.witness.cycles[-1].seen.kernel_problem == "no"
    world.look()
    assert world.enforced() == world.digest(policy(2))


def test_a_restarted_agent_goes_on_where_it_was(world: World) -> None:
    bad = world.clone.push(SYNTAX_ERROR)
    world.look()
    (world.run_dir / "agent" / "record.json").unlink()
    world.agent = world.start()
    world.look()
    assert len(world.witness.attempts) == 2, "neither the good nor the bad commit again"
    assert world.agent.record.quarantine
    assert world.agent.record.quarantine.candidate.identity == bad


def test_an_agent_that_forgot_everything_finds_it_in_force(world: World) -> None:
    for path in (world.run_dir, world.state_dir):
        shutil.rmtree(path)
    world.agent = world.start()
    world.look()
    assert world.witness.attempts[-1].outcome is Outcome.UNCHANGED
    assert world.plane.live_generation() == 1


def test_a_state_directory_that_can_not_be_written_is_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("microseg.reconcile.durable.write", full)
    world.clone.push(SYNTAX_ERROR)
    world.look()
    world.look()
    assert any("No space left on device" in warning for warning in world.witness.warnings)
