"""Somebody and the agent at once: each ends as docs/commands.md says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from gitops.agent_world import GIT_ENVIRONMENT, World, policy
from reconcile.fake import FakeDataPlane
from reconcile.worlds import policy as numbered
from reconcile.worlds import request_for

from microseg.reconcile.apply import StepName, apply
from microseg.reconcile.errors import LockHeldError
from microseg.reconcile.records import Outcome


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """An agent that has applied policy 1."""
    for name, value in GIT_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    made = World(tmp_path, FakeDataPlane())
    made.clone.push(policy(1), "the first")
    made.look()
    return made


def test_an_apply_during_one_of_the_agent_is_told_who_holds_the_lock(world: World) -> None:
    refused: list[str] = []

    def somebody() -> Iterator[None]:
        with world.host() as host, pytest.raises(LockHeldError) as caught:
            apply(host, request_for(numbered(5)))
        refused.append(caught.value.message)
        yield

    world.clone.push(policy(2))
    world.witness.at, world.witness.what = StepName.STAGE, somebody()
    world.look()
    assert "is changing this instance; nothing was changed by this command" in refused[0]
    assert world.enforced() == world.digest(policy(2))


def test_the_agent_during_somebodys_apply_waits_and_looks_again(world: World) -> None:
    world.clone.push(policy(2))

    def meanwhile(step: StepName) -> None:
        if step is StepName.STAGE:
            world.look()

    with world.host() as host:
        result = apply(host, request_for(numbered(5)), announce=meanwhile)
    assert result.generation == world.plane.live_generation(), "the agent has changed nothing"
    attempt = world.witness.attempts[-1]
    assert attempt.outcome is Outcome.FAILED
    assert "is changing this instance" in attempt.message
    assert world.agent.record.quarantine is None

    world.clock.move(seconds=10)
    world.look()
    assert world.enforced() == world.digest(policy(2))
