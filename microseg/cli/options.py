"""Options that several commands share, and the settings made of them."""

from __future__ import annotations

import os
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from microseg import config
from microseg.reconcile.dataplane import Hook

if TYPE_CHECKING:
    from collections.abc import Callable

    Function = Callable[..., Any]
    Decorator = Callable[[Function], Function]

_FOLDER = click.Path(file_okay=False, path_type=Path)

_INTERFACES = Path("/sys/class/net")


def interface_names(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """Return the interfaces of this host that begin like this, for completion."""
    names = [each.name for each in _INTERFACES.iterdir()] if _INTERFACES.is_dir() else []
    return sorted(name for name in names if name.startswith(incomplete))


_OPTIONS: dict[str, Decorator] = {
    "policy_dir": click.option(
        "--policy-dir", type=_FOLDER, help="The policy files. [env: MICROSEG_POLICY_DIR]"
    ),
    "state_dir": click.option(
        "--state-dir", type=_FOLDER, help="Records of what was applied. [env: MICROSEG_STATE_DIR]"
    ),
    "run_dir": click.option("--run-dir", type=_FOLDER, help="The lock. [env: MICROSEG_RUN_DIR]"),
    "pin_dir": click.option(
        "--pin-dir", type=_FOLDER, help="Programs and maps, in a BPF file system. [env: MICROSEG_PIN_DIR]"
    ),
    "interfaces": click.option(
        "-i",
        "--interface",
        "interfaces",
        multiple=True,
        metavar="NAME",
        shell_complete=interface_names,
        help="An interface; may be given several times. [env: MICROSEG_INTERFACES]",
    ),
    "hook": click.option(
        "--hook",
        type=click.Choice([hook.value for hook in Hook]),
        help="How to attach. By default tcx where the kernel has it, else clsact; xdp judges ingress in the "
        "driver. [env: MICROSEG_HOOK]",
    ),
    "lock_timeout_s": click.option(
        "--lock-timeout",
        "lock_timeout_s",
        type=click.FloatRange(min=0),
        metavar="SECONDS",
        help="Wait so long for another writer. [env: MICROSEG_LOCK_TIMEOUT_S]",
    ),
    "debug_program": click.option(
        "--debug-program/--no-debug-program",
        "debug_program",
        default=None,
        help="Let the program trace each packet, slowly. [env: MICROSEG_DEBUG_PROGRAM]",
    ),
    "adopt_s": click.option(
        "--adopt",
        "adopt_s",
        type=click.FloatRange(min=0),
        metavar="SECONDS",
        help="So long after attaching, TCP connections in progress may go on. [env: MICROSEG_ADOPT_S]",
    ),
}

POLICY = ("policy_dir",)
KERNEL = ("state_dir", "run_dir", "pin_dir")
WRITING = (*KERNEL, "lock_timeout_s")
ATTACHING = ("interfaces", "hook", "adopt_s")


def with_settings(*names: str) -> Decorator:
    """Return a decorator that adds these options and hands the function `settings` made of them."""

    def decorate(function: Function) -> Function:
        @wraps(function)
        def call(*, config_file: Path | None, **given: Any) -> Any:  # noqa: ANN401  click's values
            options = {name: given.pop(name) for name in names}
            return function(settings=config.load(options, os.environ, config_file), **given)

        decorated: Function = click.option(
            "--config",
            "config_file",
            type=click.Path(dir_okay=False, path_type=Path),
            help="microseg.toml of this instance. [env: MICROSEG_CONFIG]",
        )(call)
        for name in reversed(names):
            decorated = _OPTIONS[name](decorated)
        return decorated

    return decorate


def output_format(function: Function) -> Function:
    """Add --format, text or JSON."""
    return output_format_with()(function)


def output_format_with(*more: str) -> Decorator:
    """Return a decorator that adds --format: text, JSON, and formats of other programs."""
    return click.option(
        "--format",
        "output_format",
        type=click.Choice(["text", "json", *more]),
        default="text",
        show_default=True,
        help="For people, or for programs.",
    )


def comparing(function: Function) -> Function:
    """Add --entries and --detailed-exitcode."""
    entries = click.option("--entries", is_flag=True, help="Show every map entry too.")
    detailed = click.option("--detailed-exitcode", is_flag=True, help="Exit with 2 when there are changes.")
    decorated: Function = entries(detailed(function))
    return decorated


def audit(function: Function) -> Function:
    """Add --audit."""
    return click.option(
        "--audit", is_flag=True, help="Only report what would be denied, as if every policy had mode audit."
    )(function)


def revision(function: Function) -> Function:
    """Add --rev."""
    return click.option(
        "--rev", "rev", metavar="REV", help="Take the policy of this commit, not the files as they are."
    )(function)
