"""A new policy on trial: probes decide whether it stays, and the kernel alone when nobody does."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from gitops.agent_world import GIT_ENVIRONMENT, World, policy
from reconcile.fake import FakeDataPlane

from microseg.agent_settings import Endpoint
from microseg.gitops.probes import failing
from microseg.gitops.record import Confirm, GoBack

PROBE = Endpoint("10.0.0.1", 22)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """An agent that has applied policy 1 and puts further ones on trial for a minute."""
    for name, value in GIT_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    made = World(tmp_path, FakeDataPlane())
    made.clone.push(policy(1), "the first")
    made.look()
    made.set(confirm_within_s=60.0, probes=(PROBE,))
    return made


def test_a_policy_that_cuts_nothing_is_confirmed_at_once(world: World) -> None:
    world.clone.push(policy(2))
    world.look()
    assert world.enforced() == world.digest(policy(2))
    assert world.plane.root.deadline_s == 0
    assert isinstance(world.witness.cycles[-2].action, Confirm)
    assert world.agent.record.confirmed == world.agent.record.applied


def test_a_policy_that_cuts_a_probe_goes_back_after_half_of_the_time(world: World) -> None:
    bad = world.clone.push(policy(2))
    world.failing = ("10.0.0.1:22",)
    world.look()
    assert world.enforced() == world.digest(policy(2)), "probes may need a moment"
    assert world.agent.record.confirmed != world.agent.record.applied
    world.plane.boot_s += 31
    world.look()
    assert world.enforced() == world.digest(policy(1))
    assert any(isinstance(cycle.action, GoBack) for cycle in world.witness.cycles)
    quarantine = world.agent.record.quarantine
    assert quarantine
    assert quarantine.candidate.identity == bad
    world.failing = ()
    world.clone.push(policy(3))
    world.look()
    assert world.enforced() == world.digest(policy(3))


def test_without_an_agent_the_kernel_goes_back_and_the_next_agent_sees_it(world: World) -> None:
    bad = world.clone.push(policy(2))
    world.failing = ("10.0.0.1:22",)
    world.look()
    world.plane.boot_s += 100
    assert world.enforced() == world.digest(policy(1))
    world.agent = world.start()
    world.look()
    assert world.enforced() == world.digest(policy(1))
    assert world.agent.record.quarantine
    assert world.agent.record.quarantine.candidate.identity == bad


def test_a_killed_agent_s_trial_goes_on_with_the_next_one(world: World) -> None:
    world.clone.push(policy(2))
    world.failing = ("10.0.0.1:22",)
    world.look()
    world.agent, world.failing = world.start(), ()
    world.look()
    assert world.plane.root.deadline_s == 0
    assert world.enforced() == world.digest(policy(2))


def test_nothing_new_is_tried_during_a_trial(world: World) -> None:
    world.clone.push(policy(2))
    world.failing = ("10.0.0.1:22",)
    world.look()
    world.clone.push(policy(3))
    world.look()
    assert world.enforced() == world.digest(policy(2))
    world.failing = ()
    world.look()
    assert world.enforced() == world.digest(policy(3))


def test_probes_are_tcp_connections() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_server(("127.0.0.1", 0)) as gone:
        up = Endpoint("127.0.0.1", server.getsockname()[1])
        down = Endpoint("127.0.0.1", gone.getsockname()[1])
        gone.close()
        assert failing([up]) == ()
        assert failing([up, down]) == (f"127.0.0.1:{down.port}",)
        assert failing([Endpoint("::g", 1), up]) == ("[::g]:1",)
