"""microseg metrics: figures for Prometheus, once."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from microseg.cli import instance, options
from microseg.cli.exits import Command
from microseg.cli.version import program_version
from microseg.gitops.record_store import RecordStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from microseg.config import Settings
    from microseg.kernel.dataplane import PinnedDataPlane
    from microseg.metrics.serving import Registry
    from microseg.reconcile.state import StateStore


@click.command("metrics", cls=Command)
@options.with_settings(*options.KERNEL)
def command(settings: Settings) -> None:
    """Print figures for Prometheus, once.

    What the kernel's maps and the agent's files say, in Prometheus' text format, such as for the text file
    collector of its node exporter. The agent serves the same, and what it counts itself, over HTTP: metrics,
    under [agent] in microseg.toml.
    """
    from microseg.metrics import serving  # noqa: PLC0415  it takes a while to import

    click.echo(serving.as_text(registry(settings)), nl=False)


def registry(settings: Settings) -> Registry:
    """Return what can be read of an instance."""
    from microseg.metrics import serving  # noqa: PLC0415  as above

    @contextmanager
    def opened() -> Iterator[tuple[PinnedDataPlane, StateStore]]:
        plane = instance.open_plane(settings)
        try:
            yield plane, instance.open_store(settings)
        finally:
            plane.close()

    store = RecordStore(settings.state_dir, settings.run_dir)
    return serving.registry_of(program_version(), opened, lambda: store.read()[0])
