"""Figures over HTTP, and as text."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

from prometheus_client import CollectorRegistry, generate_latest, start_http_server

from microseg.metrics.kernel import KernelCollector
from microseg.metrics.record import RecordCollector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from microseg.agent_settings import Endpoint
    from microseg.gitops.record import AgentRecord
    from microseg.metrics.kernel import Open


Registry: TypeAlias = CollectorRegistry


def registry_of(
    version: str, open_instance: Open, read_record: Callable[[], AgentRecord]
) -> CollectorRegistry:
    """Return a registry with what can be read beside an agent: of the kernel, and of the agent's files."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(RecordCollector(version, read_record))
    registry.register(KernelCollector(open_instance))
    return registry


def as_text(registry: CollectorRegistry) -> str:
    """Return everything in the text format that Prometheus reads."""
    return generate_latest(registry).decode()


@contextmanager
def served(registry: CollectorRegistry, endpoint: Endpoint) -> Iterator[None]:
    """Serve a registry meanwhile, in a thread; raises OSError when the address can't be had."""
    server, thread = start_http_server(endpoint.port, endpoint.address, registry)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
