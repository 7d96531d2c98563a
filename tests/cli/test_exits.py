from __future__ import annotations

import pytest

from microseg.cli.exits import ExitCode, advice_of, error_object, exit_code, message_of
from microseg.config import ConfigError
from microseg.diagnostics import Code, Diagnostic
from microseg.gitops.errors import UnknownRevisionError
from microseg.kernel.errors import call_error
from microseg.reconcile.dataplane import KernelAccessError, KernelError, NotLoadedError
from microseg.reconcile.errors import (
    ApplyError,
    CapacityError,
    GuardError,
    LockHeldError,
    NoInterfaceError,
    NoPolicyError,
    PolicyError,
    ReconcileError,
    StateFileError,
    VerifyError,
)
from microseg.source import SourceError, Span


def applying(cause: Exception) -> ApplyError:
    return ApplyError("stage", cause, "generation 1 is in force, as before", ["load: EBUSY"], "try again")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (PolicyError([], {}), 1),
        (CapacityError("full"), 1),
        (NoPolicyError("none"), 1),
        (SourceError("a.mseg", "no such file"), 1),
        (UnknownRevisionError("no"), 1),
        (LockHeldError("process 7"), 1),
        (StateFileError("broken"), 1),
        (ReconcileError("not recorded"), 1),
        (applying(VerifyError("different")), 1),
        (applying(OSError(28, "No space left on device")), 1),
        (GuardError("no"), 3),
        (KernelError("no"), 4),
        (KernelAccessError("no"), 4),
        (NotLoadedError("no"), 4),
        (call_error("open a map", 1), 4),
        (PermissionError(13, "Permission denied"), 4),
        (OSError(5, "Input/output error"), 4),
        (applying(KernelError("no")), 4),
        (applying(PermissionError(13, "Permission denied")), 4),
        (ConfigError("no"), 64),
        (NoInterfaceError("no"), 64),
    ],
    ids=repr,
)
def test_every_error_has_its_exit_code(error: Exception, code: int) -> None:
    assert exit_code(error) is ExitCode(code)


def test_a_permission_error_says_which_file_and_what_to_type() -> None:
    error = PermissionError(13, "Permission denied", "/run/microseg/lock")
    assert message_of(error) == "/run/microseg/lock: Permission denied"
    assert "root" in advice_of(error)


def test_a_wrong_policy_points_to_the_explanation_of_its_first_error() -> None:
    found = [Diagnostic.of(code, Span.of_file("a"), "x") for code in (Code.UNUSED_GROUP, Code.BAD_PORT)]
    assert advice_of(PolicyError(found, {})) == "microseg explain MS207"
    assert advice_of(PolicyError([], {})) == ""


def test_what_could_not_be_taken_back_is_told() -> None:
    told = error_object(applying(KernelError("no", log="line 1\nline 2")))
    assert told["details"] == ["  | line 1", "  | line 2", "  could not be taken back: load: EBUSY"]
    assert told["stands"] == "generation 1 is in force, as before"
    assert told["advice"] == "try again"
