"""Who watches the agent, as the settings want it."""

from __future__ import annotations

import socket
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from microseg.agent_settings import Notes as NotesMode
from microseg.cli import metrics
from microseg.gitops.observers import Observers
from microseg.gitops.service_manager import ServiceManager
from microseg.gitops.sources import CLONE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from microseg.cli.agent_log import Log
    from microseg.config import Settings
    from microseg.gitops.observer import Observer


@contextmanager
def watching(settings: Settings, log: Log) -> Iterator[Observer]:
    """Give one observer that is all of them. None of them can keep the agent from its work."""
    observers: list[Observer] = [log, ServiceManager()]
    with ExitStack() as stack:
        if settings.agent.metrics:
            observers += _metrics(settings, log, stack)
        if settings.agent.webhook or settings.agent.notes is not NotesMode.OFF:
            observers.append(_reporter(settings, log))
        yield Observers(observers)


def _metrics(settings: Settings, log: Log, stack: ExitStack) -> list[Observer]:
    """Serve figures; when the address can't be had, the agent goes on without."""
    from microseg.metrics import agent, serving  # noqa: PLC0415  only where they are wanted

    endpoint = settings.agent.metrics
    assert endpoint is not None, "asked for"
    registry = metrics.registry(settings)
    try:
        stack.enter_context(serving.served(registry, endpoint))
    except OSError as error:
        where = f"{endpoint.address}:{endpoint.port}"
        log.remark(
            f"metrics can't be served at {where}: {error.strerror or error}; the agent goes on without"
        )
        return []
    return [agent.AgentMetrics(registry)]


def _reporter(settings: Settings, log: Log) -> Observer:
    """Report each try back."""
    from microseg.gitops.notes import Notes  # noqa: PLC0415  only where they are wanted
    from microseg.gitops.reporter import Reporter  # noqa: PLC0415  as above
    from microseg.gitops.webhook import Webhook  # noqa: PLC0415  as above

    agent = settings.agent
    webhook = Webhook(agent.webhook, agent.webhook_timeout_s, agent.webhook_secret) if agent.webhook else None
    repository = settings.state_dir / CLONE if agent.remote else settings.policy_dir
    remote = agent.remote if agent.notes is NotesMode.PUSH else ""
    notes = None if agent.notes is NotesMode.OFF else Notes(repository, remote, agent.fetch_timeout_s)
    return Reporter(socket.gethostname(), log.remark, webhook, notes)
