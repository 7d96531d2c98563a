"""An agent that runs and watches: whatever is done to files and branches, it ends at what there is."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from gitops.agent_world import GIT_ENVIRONMENT, World, git, policy
from reconcile.fake import FakeDataPlane

from microseg.gitops import snapshot
from microseg.gitops.inbox import Inbox, Message
from microseg.gitops.sources import Watched
from microseg.gitops.watching import Watcher, has_events

PATIENCE_S = 60.0


@pytest.fixture(autouse=True)
def plain_git(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in GIT_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path, FakeDataPlane())
    made.clone.commit(policy(1), "the first")
    return made


@contextmanager
def running(world: World, *, poll_s: float = 0.0, **settings: object) -> Iterator[None]:
    """Let the agent run in a thread meanwhile; it watches, or polls and hears of nothing."""
    world.set(remote="", interval_s=3600, **settings)
    world.agent.poll_s = poll_s
    source = world.agent.around.source
    with Watcher(world.inbox) as watcher:
        trigger = Watched(world.control.folder, frozenset({"trigger"}))

        def rewatch() -> None:
            if not poll_s:
                watcher.watch(
                    [(trigger, Message.LOOK), *((each, Message.FILES) for each in source.watched())]
                )

        world.agent.around = replace(world.agent.around, rewatch=rewatch)
        thread = threading.Thread(target=world.agent.run)
        thread.start()
        try:
            yield
        finally:
            world.inbox.put(Message.STOP)
            thread.join()


def wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def enforces(world: World, text: str) -> None:
    expected = world.digest(text)
    wait_until(lambda: world.enforced() == expected)


def test_a_file_that_is_written_is_enforced(world: World) -> None:
    with running(world):
        enforces(world, policy(1))
        (world.clone.policies / "shop.mseg").write_text(policy(2))
        enforces(world, policy(2))


def test_editors_that_replace_files(world: World) -> None:
    file = world.clone.policies / "shop.mseg"
    with running(world):
        enforces(world, policy(1))
        for port in (2, 3):
            file.rename(file.with_name("shop.mseg~"))
            file.write_text(policy(port))
            file.with_name("shop.mseg~").unlink()
            enforces(world, policy(port))
        following = file.with_name(".shop.mseg.swp")
        following.write_text(policy(4))
        following.rename(file)
        enforces(world, policy(4))


def test_a_directory_deleted_and_made_again(world: World) -> None:
    with running(world):
        enforces(world, policy(1))
        for port in (2, 3):
            shutil.rmtree(world.clone.policies)
            wait_until(
                lambda: world.agent.record.quarantine is not None or world.agent.record.problem is not None
            )
            world.clone.policies.mkdir()
            (world.clone.policies / "shop.mseg").write_text(policy(port))
            enforces(world, policy(port))


def test_a_switch_of_500_files_is_one_reconcile(world: World) -> None:
    """Of files that are switched one after the other, no mixture is ever tried."""
    for branch, number in (("main", 1), ("other", 2)):
        if branch == "other":
            git(world.clone.root, "checkout", "--quiet", "-b", branch)
        for file in range(500):
            (world.clone.policies / f"g{file}.mseg").write_text(
                f"group g{file} = 10.{number}.{file % 250}.1\n"
            )
        world.clone.commit(policy(number), branch)
    commits = {git(world.clone.root, "rev-parse", branch) for branch in ("main", "other")}
    git(world.clone.root, "checkout", "--quiet", "main")
    with running(world):
        enforces(world, policy(1))
        git(world.clone.root, "checkout", "--quiet", "other")
        enforces(world, policy(2))
        wait_until(lambda: world.agent.record.desired is not None)
    tried = [attempt.candidate.identity for attempt in world.witness.attempts]
    assert len(tried) == 2, "one for each branch"
    assert set(tried) == commits
    assert all(attempt.succeeded for attempt in world.witness.attempts)


def test_a_local_branch_that_moves_is_heard_of(world: World) -> None:
    with running(world, branch="main"):
        enforces(world, policy(1))
        (world.clone.policies / "shop.mseg").write_text(policy(9))
        world.clone.commit(policy(2), "the second")
        enforces(world, policy(2))


def test_a_bare_repository_is_heard_of(world: World) -> None:
    world.clone.push(policy(1))
    world.clone.policies = world.clone.bare / "policies.d"
    with running(world, branch="main"):
        enforces(world, policy(1))
        world.clone.policies = world.clone.root / "policies.d"
        world.clone.push(policy(2))
        enforces(world, policy(2))


def test_what_is_not_heard_of_is_found_by_looking(world: World) -> None:
    with running(world, poll_s=0.05):
        enforces(world, policy(1))
        (world.clone.policies / "shop.mseg").write_text(policy(2))
        enforces(world, policy(2))


def test_looking_wakes_nobody(world: World) -> None:
    """The agent's own reading and writing must not make it look again."""
    with running(world):
        enforces(world, policy(1))
        (world.clone.policies / "shop.mseg").write_text(policy(2))
        enforces(world, policy(2))
        world.inbox.put(Message.LOOK)
        count = len(world.witness.cycles)
        wait_until(lambda: len(world.witness.cycles) > count)
        time.sleep(1)
        assert len(world.witness.cycles) <= count + 3


def test_files_that_change_while_they_are_read_are_not_a_state(world: World) -> None:
    taken = snapshot.take(world.clone.policies, None)
    assert taken.digest == snapshot.take(world.clone.policies, None).digest
    lock = world.clone.root / ".git" / "index.lock"
    lock.touch()
    with pytest.raises(snapshot.UnsettledError):
        snapshot.take(world.clone.policies, lock.parent)
    lock.unlink()
    assert snapshot.take(world.clone.policies, lock.parent).digest == taken.digest


def test_a_file_written_between_two_readings_is_seen(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    file = world.clone.policies / "shop.mseg"

    def meddle(root: Path, files: object) -> object:
        file.write_text(policy(7))
        return snapshot_read(root, files)  # type: ignore[arg-type]

    snapshot_read = snapshot._read_all  # noqa: SLF001  the moment between two signatures
    monkeypatch.setattr(snapshot, "_read_all", meddle)
    with pytest.raises(snapshot.UnsettledError):
        snapshot.take(world.clone.policies, None)


@pytest.mark.parametrize(
    ("kind", "events"),
    [("ext4", True), ("nfs4", False), ("fuse.sshfs", False), ("9p", False), ("tmpfs", True)],
)
def test_network_file_systems_are_polled(tmp_path: Path, kind: str, events: bool) -> None:  # noqa: FBT001
    mounts = tmp_path / "mountinfo"
    folder = tmp_path / "a b" / "policies.d"
    escaped = str(tmp_path / "a b").replace(" ", "\\040")
    mounts.write_text(
        f"21 1 8:1 / / rw - ext4 /dev/sda1 rw\n22 21 0:9 / {escaped} rw,relatime shared:1 - {kind} there rw\n"
    )
    assert has_events(folder, mounts) is events
    assert has_events(tmp_path, mounts)


def test_files_have_to_rest() -> None:
    inbox = Inbox()
    for _ in range(3):
        inbox.put(Message.FILES)
    began = time.monotonic()
    assert inbox.wait(10, 0.1) == {Message.FILES}
    assert time.monotonic() - began >= 0.1
    inbox.put(Message.FILES)
    inbox.put(Message.ASKED)
    assert inbox.wait(10, 100) == {Message.FILES, Message.ASKED}, "a commit needn't rest"
    assert inbox.wait(0, 0) == frozenset()
