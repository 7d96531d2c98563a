"""microseg agent: keep the kernel at the policy of a branch, or of files, from now on."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from microseg.cli import agent_log, agent_watchers, clock, instance, options, requests
from microseg.cli.exits import Command
from microseg.confined.worker import ConfinedCompiler
from microseg.gitops import privileges
from microseg.gitops.agent import Agent, Surroundings
from microseg.gitops.control import Control
from microseg.gitops.inbox import Inbox, Message
from microseg.gitops.probes import failing
from microseg.gitops.record import Suspension
from microseg.gitops.record_store import RecordStore
from microseg.gitops.sources import FileSource, Watched, open_source
from microseg.gitops.trying import Tryer
from microseg.gitops.watching import Watcher, has_events
from microseg.reconcile.confirm import confirm
from microseg.reconcile.remembered import Remembered
from microseg.reconcile.rollback import roll_back

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from microseg.abi import PolicyMap
    from microseg.config import Settings
    from microseg.gitops.observer import Observer
    from microseg.gitops.sources import Source
    from microseg.reconcile.desired import Desired
    from microseg.reconcile.transaction import Operator, Request

POLL_S = 2.0
"""How often files are looked at where changes can't be heard of."""

SIGNALS = {
    signal.SIGHUP: Message.ASKED,
    signal.SIGUSR1: Message.SUSPEND,
    signal.SIGUSR2: Message.RESUME,
    signal.SIGTERM: Message.STOP,
    signal.SIGINT: Message.STOP,
}


@click.command("agent", cls=Command)
@options.with_settings(*options.POLICY, *options.WRITING, *options.ATTACHING)
@click.option(
    "--log-format",
    type=click.Choice([each.value for each in agent_log.LogFormat]),
    default=agent_log.LogFormat.TEXT.value,
    show_default=True,
    help="Lines for people, or JSON objects.",
)
def command(settings: Settings, log_format: str) -> None:
    """Keep the kernel at the policy of a branch or of files, from now on.

    What to follow is said under [agent] in microseg.toml.
    SIGHUP: look and try now. SIGUSR1, SIGUSR2: suspend, resume. SIGTERM: stop; enforcement goes on.
    """
    log = agent_log.Log(agent_log.LogFormat(log_format))
    with ConfinedCompiler() as compiler:
        privileges.keep()  # before any thread is there: each has its own
        with agent_watchers.watching(settings, log) as observer:
            run(settings, observer, compiler)


def run(settings: Settings, observer: Observer, compiler: ConfinedCompiler) -> None:
    """Run an agent in this process until a signal stops it.

    Raises:
        LockHeldError: another agent of this instance runs.
        GitError, OSError: it can't begin.

    """
    control, inbox = Control(settings.state_dir, settings.run_dir), Inbox()
    who = instance.operator(settings)
    with (
        control.lock(who.command),
        Watcher(inbox) as watcher,
        _signals(control, inbox, who),
    ):
        source = open_source(settings.agent, settings.policy_dir, settings.state_dir)
        kind = Message.FILES if isinstance(source, FileSource) else Message.LOOK

        def rewatch() -> None:
            trigger = Watched(control.folder, frozenset({control.trigger.name}))
            watcher.watch([(trigger, Message.LOOK), *((each, kind) for each in source.watched())])

        around = _surroundings(settings, source, compiler, inbox, observer, rewatch)
        Agent(around, settings.agent, os.getpid(), _poll_s(settings)).run()


def _poll_s(settings: Settings) -> float:
    return 0.0 if settings.agent.remote or has_events(settings.policy_dir) else POLL_S


def _surroundings(  # noqa: PLR0917  a list of what is needed
    settings: Settings,
    source: Source,
    compiler: ConfinedCompiler,
    inbox: Inbox,
    observer: Observer,
    rewatch: Callable[[], None],
) -> Surroundings:
    who, remembered = instance.operator(settings), Remembered()
    return Surroundings(
        source=source,
        tryer=Tryer(source, compiler, lambda contents: _request(settings, who, contents), compiler.forget),
        host=lambda: instance.opened(settings, remembered),
        control=Control(settings.state_dir, settings.run_dir),
        store=RecordStore(settings.state_dir, settings.run_dir),
        inbox=inbox,
        observer=observer,
        rewatch=rewatch,
        probe=lambda: failing(settings.agent.probes),
        confirm=lambda host: confirm(host, who),
        go_back=lambda host: roll_back(host, who),
    )


def _request(
    settings: Settings, who: Operator, compiler: Callable[[Mapping[PolicyMap, int]], Desired]
) -> Request:
    request = requests.request(settings, compiler)
    return replace(request, operator=who, confirm_within_s=round(settings.agent.confirm_within_s))


@contextmanager
def _signals(control: Control, inbox: Inbox, who: Operator) -> Iterator[None]:
    """Turn signals into messages meanwhile."""

    def receive(number: int, _: object) -> None:
        message = SIGNALS[signal.Signals(number)]
        if message is Message.SUSPEND:
            control.suspend(Suspension(who.who, "signal", clock.now()))
        elif message is Message.RESUME:
            control.resume()
        inbox.put(message)

    before = {number: signal.signal(number, receive) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
