"""Why a change was not carried out. Each error says what still stands and what to type next."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from microseg.diagnostics import Diagnostic


class ReconcileError(Exception):
    """The base of this page.

    Attributes:
        message: what happened, in one line.
        advice: what to type next; may be empty.
        stands: what is in force now, as far as it was read; may be empty.

    """

    def __init__(self, message: str, *, advice: str = "", stands: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice
        self.stands = stands


class PolicyError(ReconcileError):
    """The policy text is wrong; the kernel was not touched.

    Attributes:
        diagnostics: everything there is to say about it.
        sources: the text of the files by path, to show it in.

    """

    def __init__(self, diagnostics: Sequence[Diagnostic], sources: Mapping[str, str]) -> None:
        super().__init__("the policy is wrong", advice="correct it, then run the command again")
        self.diagnostics = tuple(diagnostics)
        self.sources = sources


class GuardError(ReconcileError):
    """A guard refused; the kernel was not touched."""


class StalePlanError(GuardError):
    """What a saved plan was made from has changed; the kernel was not touched."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"the saved plan is stale: {why}; nothing was changed",
            advice="look at what would change now, and save that: microseg plan --out FILE",
        )


class PlanFileError(ReconcileError):
    """A file is no saved plan; nothing was changed."""

    def __init__(self, message: str) -> None:
        super().__init__(f"{message}; nothing was changed", advice="save it again: microseg plan --out FILE")


class CapacityError(ReconcileError):
    """The policy doesn't fit the kernel's maps; the kernel was not touched."""


class NoPolicyError(ReconcileError):
    """There is not a single policy file, which is more likely a wrong path than a wish to deny everything."""


class NoInterfaceError(ReconcileError):
    """Nothing is attached yet, and nobody says to what."""


class LockHeldError(ReconcileError):
    """Somebody else is changing this instance.

    Attributes:
        holder: process id and command, as far as they are known.

    """

    def __init__(self, holder: str) -> None:
        super().__init__(
            f"{holder} is changing this instance; nothing was changed by this command",
            advice="wait for it to end, or let this command wait: --lock-timeout 30",
        )
        self.holder = holder


class VerifyError(ReconcileError):
    """What was read back from the standby slot is not what was staged (I2)."""


class ProbeError(ReconcileError):
    """The kernel would judge packets otherwise than the policy says (I4)."""

    def __init__(self, message: str) -> None:
        super().__init__(
            message,
            advice="microseg apply again; if that ends the same way, keep the policy and report a defect",
        )


class StateFileError(ReconcileError):
    """A file of the state directory is not what it should be; the kernel remains the truth."""


class RestoreError(ReconcileError):
    """What was recorded of the confirmed policy can't be used."""


class ApplyError(ReconcileError):
    """A step of a change failed, and what it had begun was taken back (I3).

    Attributes:
        step: the name of the step.
        cause: what went wrong.
        leftovers: what could not be taken back; the next apply does it.

    """

    def __init__(
        self, step: str, cause: Exception, stands: str, leftovers: Sequence[str], advice: str
    ) -> None:
        super().__init__(f"failed at step {step}: {cause}", advice=advice, stands=stands)
        self.step = step
        self.cause = cause
        self.leftovers = tuple(leftovers)
