"""Why a confined compilation came to nothing."""

from __future__ import annotations

from microseg.reconcile.errors import GuardError, ReconcileError


class TooCostlyError(GuardError):
    """The policy takes more time, memory or text than a policy may; the same text would again."""


class ConfinedCompilerError(ReconcileError):
    """The confined process didn't answer as it should; it is ended, and the next try makes a new one."""
