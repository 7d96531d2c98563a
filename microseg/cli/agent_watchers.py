"""Who watches the agent, as the settings want it."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from microseg.cli import metrics, terminal
from microseg.gitops.observers import Observers
from microseg.gitops.service_manager import ServiceManager

if TYPE_CHECKING:
    from collections.abc import Iterator

    from microseg.config import Settings
    from microseg.gitops.observer import Observer


@contextmanager
def watching(settings: Settings, log: Observer) -> Iterator[Observer]:
    """Give one observer that is all of them. None of them can keep the agent from its work."""
    observers: list[Observer] = [log, ServiceManager()]
    with ExitStack() as stack:
        if settings.agent.metrics:
            observers += _metrics(settings, stack)
        yield Observers(observers)


def _metrics(settings: Settings, stack: ExitStack) -> list[Observer]:
    """Serve figures; when the address can't be had, the agent goes on without."""
    from microseg.metrics import agent, serving  # noqa: PLC0415  only where they are wanted

    endpoint = settings.agent.metrics
    assert endpoint is not None, "asked for"
    registry = metrics.registry(settings)
    try:
        stack.enter_context(serving.served(registry, endpoint))
    except OSError as error:
        where = f"{endpoint.address}:{endpoint.port}"
        terminal.warn(
            f"metrics can't be served at {where}: {error.strerror or error}; the agent goes on without"
        )
        return []
    return [agent.AgentMetrics(registry)]
