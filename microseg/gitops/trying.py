"""One try to bring a candidate into force: verified, compiled, guarded and applied; and how it ended."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from microseg.gitops.errors import GitError, NoPolicyDirectoryError, SignatureError, TooManyFilesError
from microseg.gitops.record import Attempt
from microseg.reconcile.apply import apply
from microseg.reconcile.dataplane import KernelError
from microseg.reconcile.errors import (
    ApplyError,
    CapacityError,
    GuardError,
    NoPolicyError,
    PolicyError,
    ReconcileError,
)
from microseg.reconcile.observed import read_observed
from microseg.reconcile.records import Outcome
from microseg.source import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import date

    from microseg.abi import PolicyMap
    from microseg.gitops.record import Try
    from microseg.gitops.sources import Source
    from microseg.reconcile.apply import StepName
    from microseg.reconcile.desired import Desired
    from microseg.reconcile.revision import Revision
    from microseg.reconcile.safeguards import Lifelines
    from microseg.reconcile.transaction import Host, Request, Result
    from microseg.source import SourceTree

LASTING = (
    PolicyError,
    GuardError,
    CapacityError,
    NoPolicyError,
    NoPolicyDirectoryError,
    SignatureError,
    SourceError,
    TooManyFilesError,
)
"""What the same commit would meet again; anything else may pass."""


class Compile(Protocol):
    """Makes what the kernel should hold of text that nobody has looked at yet."""

    def __call__(
        self,
        tree: SourceTree,
        revision: Revision | None,
        today: date,
        capacities: Mapping[PolicyMap, int],
        lifelines: Lifelines,
    ) -> Desired:
        """Compile, prove and encode, and find out what becomes of the lifelines.

        Raises PolicyError, SourceError or NoPolicyError.
        """


@dataclass(frozen=True, slots=True)
class Tried:
    """How a try ended, and the digest of what it was for; empty when it didn't come to that."""

    attempt: Attempt
    digest: bytes = b""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Tryer:
    """What a try needs.

    Attributes:
        source: has the candidate's text.
        compile: makes the desired contents of it.
        request: makes the request for an apply of them, as the instance is set.
        forget: is called after what wasn't accepted: nobody shall remember having compiled it.

    """

    source: Source
    compile: Compile
    request: Callable[[Callable[[Mapping[PolicyMap, int]], Desired]], Request]
    forget: Callable[[], None] = lambda: None

    def run(self, host: Host, what: Try, announce: Callable[[StepName], None]) -> Tried:
        """Try; whatever goes wrong is in the answer."""
        began = time.monotonic()

        def ended(outcome: Outcome, error: Exception | None = None, generation: int = 0) -> Attempt:
            return Attempt(
                what.candidate,
                what.reason,
                host.now(),
                outcome,
                _message(error) if error else "",
                _advice(error) if error else "",
                generation,
                round((time.monotonic() - began) * 1000),
                error is not None and _is_lasting(error, host),
            )

        try:
            self.source.verify(what.candidate)
            with self.source.open(what.candidate) as tree:
                result = self._apply(tree, host, what.candidate.revision, announce)
        except (*LASTING, GitError) as error:
            self.forget()
            return Tried(ended(Outcome.REFUSED, error))
        except (ReconcileError, KernelError, OSError) as error:
            self.forget()
            return Tried(ended(Outcome.FAILED, error))
        outcome = Outcome.UNCHANGED if result.plan.is_empty else Outcome.DONE
        return Tried(ended(outcome, None, result.generation), result.plan.desired, result.warnings)

    def _apply(
        self,
        tree: SourceTree,
        host: Host,
        revision: Revision | None,
        announce: Callable[[StepName], None],
    ) -> Result:
        def compile_policy(capacities: Mapping[PolicyMap, int]) -> Desired:
            return self.compile(tree, revision, host.now().date(), capacities, request.lifelines)

        request = self.request(compile_policy)
        return apply(host, request, announce=announce)


def _is_lasting(error: Exception, host: Host) -> bool:
    """Say whether the same candidate would fail again; not while the kernel waits for a confirmation."""
    cause = error.cause if isinstance(error, ApplyError) else error
    if not isinstance(cause, LASTING):
        return False
    try:
        return not (isinstance(cause, GuardError) and read_observed(host.plane).confirm_left_s)
    except KernelError:
        return False


def _message(error: Exception) -> str:
    if isinstance(error, PolicyError):
        first = next(each for each in error.diagnostics if each.is_error)
        count = sum(each.is_error for each in error.diagnostics)
        more = f" (and {count - 1} more)" if count > 1 else ""
        return f"{first.span}: {first.code.value}: {first.message}{more}"
    if isinstance(error, OSError) and not isinstance(error, KernelError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}"
    return str(error)


def _advice(error: Exception) -> str:
    match error:
        case ApplyError() | GuardError() | CapacityError() | NoPolicyError() | GitError() | KernelError():
            return error.advice
        case PolicyError():
            return "push a commit that corrects it; microseg lint shows all of it"
        case _:
            return ""
