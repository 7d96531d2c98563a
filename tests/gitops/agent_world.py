"""An agent with a kernel in memory and real repositories: a bare one, somebody's clone of it, the agent's."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from reconcile.fake import FakeDataPlane

from microseg.abi import PolicyMap, with_digest
from microseg.agent_settings import AgentSettings
from microseg.analysis.examine import examine
from microseg.gitops.agent import Agent, Surroundings
from microseg.gitops.control import Control
from microseg.gitops.inbox import Inbox, Message
from microseg.gitops.observer import Silent
from microseg.gitops.record import Attempt, Cycle
from microseg.gitops.record_store import RecordStore
from microseg.gitops.sources import open_source
from microseg.gitops.trying import Tryer
from microseg.reconcile.apply import StepName
from microseg.reconcile.confirm import confirm
from microseg.reconcile.desired import Desired, desired_of
from microseg.reconcile.errors import NoPolicyError
from microseg.reconcile.revision import Revision
from microseg.reconcile.rollback import roll_back
from microseg.reconcile.safeguards import NO_LIFELINES, Lifelines
from microseg.reconcile.state import StateStore
from microseg.reconcile.transaction import Host, Operator, Request
from microseg.source import MemoryTree, SourceTree

OPERATOR = Operator("root", "microseg agent")
MAIN = "main"

GIT_ENVIRONMENT = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    **{f"GIT_{who}_NAME": "Tester" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_EMAIL": "tester@example.org" for who in ("AUTHOR", "COMMITTER")},
}


def policy(port: int, *, more: str = "") -> str:
    """Return a policy; other ports, other policies."""
    return (
        "group web = 10.1.1.0/24\n"
        "group db  = 10.1.3.0/24\n"
        f"policy shop {{\n  allow web -> db : tcp/{port}\n{more}}}\n"
        "default deny\n"
        f'test "web" {{ expect allow web -> db : tcp/{port} }}\n'
    )


def compile_here(
    tree: SourceTree,
    revision: Revision | None,
    today: date,
    capacities: Mapping[PolicyMap, int],
    lifelines: Lifelines = NO_LIFELINES,
) -> Desired:
    """Compile in this process, which is quicker to begin than a confined one."""
    del lifelines  # asked for again where the text is at hand
    if not tree.policy_paths():
        raise NoPolicyError("there is no policy file (*.mseg)")
    return desired_of(examine(tree, today, capacities=capacities), revision)


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", *words],
        cwd=folder,
        env=os.environ | GIT_ENVIRONMENT,
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, f"git {' '.join(words)}: {done.stderr}"
    return done.stdout.strip()


class Clone:
    """Somebody's clone, and the bare repository it pushes to."""

    def __init__(self, folder: Path) -> None:
        self.bare, self.root = folder / "origin.git", folder / "work"
        folder.mkdir(parents=True, exist_ok=True)
        git(folder, "init", "--quiet", "--bare", f"--initial-branch={MAIN}", str(self.bare))
        git(folder, "init", "--quiet", f"--initial-branch={MAIN}", str(self.root))
        git(self.root, "remote", "add", "origin", str(self.bare))
        self.policies = self.root / "policies.d"
        self.policies.mkdir()

    def commit(self, text: str, subject: str = "change", *words: str) -> str:
        (self.policies / "shop.mseg").write_text(text)
        git(self.root, "add", "--all")
        git(self.root, "commit", "--quiet", "--allow-empty", f"--message={subject}", *words)
        return git(self.root, "rev-parse", "HEAD")

    def push(self, text: str, subject: str = "change", *words: str) -> str:
        commit = self.commit(text, subject, *words)
        git(self.root, "push", "--quiet", "--force", "origin", f"HEAD:{MAIN}")
        return commit


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 22, 3, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.time += timedelta(milliseconds=1)
        return self.time

    def move(self, **much: float) -> None:
        self.time += timedelta(**much)


@dataclass
class Witness(Silent):
    """Remembers what it was told, and does something at a step."""

    cycles: list[Cycle] = field(default_factory=list)
    at: StepName | None = None
    what: Iterator[object] = field(default_factory=lambda: iter(()))

    def step(self, step: StepName) -> None:
        if step is self.at:
            next(self.what, None)

    def ended(self, cycle: Cycle) -> None:
        self.cycles.append(cycle)

    @property
    def attempts(self) -> list[Attempt]:
        return [cycle.attempt for cycle in self.cycles if cycle.attempt]

    @property
    def warnings(self) -> list[str]:
        return [warning for cycle in self.cycles for warning in cycle.warnings]


class World:
    """One instance with its agent."""

    def __init__(self, folder: Path, plane: FakeDataPlane) -> None:
        self.folder, self.plane = folder, plane
        self.clone = Clone(folder)
        self.clock, self.witness, self.inbox = Clock(), Witness(), Inbox()
        self.state_dir, self.run_dir = folder / "state", folder / "run"
        self.control = Control(self.state_dir, self.run_dir)
        self.settings = AgentSettings(remote=str(self.clone.bare), backoff_s=10)
        self.failing: tuple[str, ...] = ()
        self.agent = self.start()

    def set(self, **settings: object) -> None:
        """Restart the agent with other settings."""
        self.settings = replace(self.settings, **settings)  # type: ignore[arg-type]
        self.agent = self.start()

    def start(self) -> Agent:
        """Return a new agent, as after a restart."""
        source = open_source(self.settings, self.clone.policies, self.state_dir)
        store = RecordStore(self.state_dir, self.run_dir)
        around = Surroundings(
            source=source,
            tryer=Tryer(source, compile_here, self.request),
            host=self.host, control=self.control, store=store, inbox=self.inbox, observer=self.witness,
            rewatch=lambda: None, probe=lambda: self.failing, confirm=self.confirm,
            go_back=lambda host: roll_back(host, OPERATOR), now=self.clock, spread=lambda: 1.0,
        )  # fmt: skip
        record, _ = store.read()
        return Agent(around, self.settings, os.getpid(), record=record)

    @contextmanager
    def host(self) -> Iterator[Host]:
        yield Host(self.plane, StateStore(self.state_dir), self.run_dir, self.clock)

    def request(self, compiler: Callable[[Mapping[PolicyMap, int]], Desired]) -> Request:
        within_s = round(self.settings.confirm_within_s)
        return Request(compiler, OPERATOR, ("eth0",), confirm_within_s=within_s)

    def confirm(self, host: Host) -> None:
        confirm(host, OPERATOR)

    def look(self, *messages: Message) -> None:
        self.agent.turn(frozenset(messages))

    def enforced(self) -> bytes:
        """Return the digest of what the kernel judges by; empty: everything passes."""
        generation = self.plane.live_generation()
        if not generation:
            return b""
        slot = generation & 1
        maps = {name: entries for (of, name), entries in self.plane.maps.items() if of == slot}
        return with_digest(self.plane.configs[slot], maps).digest

    def digest(self, text: str, *, days: int = 0) -> bytes:
        """Return the digest of what a policy compiles to."""
        today = (self.clock.time + timedelta(days=days)).date()
        capacities = self.plane.sizing.policy_capacities()
        tree = MemoryTree({"shop.mseg": text.encode()})
        return compile_here(tree, None, today, capacities).contents.config.digest
