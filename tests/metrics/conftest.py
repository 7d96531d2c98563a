"""The command line over a kernel in memory, as for the tests of commands."""

from __future__ import annotations

from cli.conftest import flows, plane, session

__all__ = ["flows", "plane", "session"]
