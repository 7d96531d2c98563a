"""The program `microseg`: its commands, imported when they're called so that the start is quick."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from microseg.cli.exits import ExitCode
from microseg.cli.version import program_version

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = {
    "agent": "Keep the kernel at the policy of a branch or of files, from now on.",
    "apply": "Bring the kernel to the policy: all of it, or nothing.",
    "attach": "Enforce the policy in force on more interfaces.",
    "bench": "Measure packets, what the filter costs each of them, and how many belong to a session.",
    "confirm": "Keep the policy that was applied with --confirm-within.",
    "counters": "Show what each rule has judged, and what became of all packets.",
    "detach": "End enforcement, everywhere or on some interfaces.",
    "diff": "Show what the policy of a commit does to traffic that the one of another didn't.",
    "drift": "Show what differs between the kernel and what was applied, and change nothing.",
    "explain": "Explain a diagnostic, such as MS301; without a code, list them all.",
    "fmt": "Put policy files into their one format.",
    "hooks": "Let git refuse commits and pushes whose policy is wrong.",
    "init": "Make a repository of policies, with an example, hooks and continuous integration.",
    "lint": "Check the policy and show everything that is wrong with it.",
    "lsp": "Speak the Language Server Protocol, for editors.",
    "metrics": "Print figures for Prometheus, once.",
    "observe": "Show denied and logged packets as they come, until interrupted.",
    "plan": "Show what an apply would change, and change nothing.",
    "reconcile": "Let the agent look and try now, whatever failed before.",
    "restore": "Put the last confirmed policy in force after a restart of the machine.",
    "resume": "Let the agent go on.",
    "query": "Tell what the policy decides about some packets, exactly, and by which rules.",
    "rollback": "Put the previous generation in force again, at once.",
    "suspend": "Let the agent leave everything as it is, until resume.",
    "status": "Show what is in force, where, and since when.",
    "test": "Prove the policy's own tests.",
    "trace": "Show what becomes of one packet and why, by policy and kernel side by side.",
}
"""Every command is `command` in the module microseg.cli.NAME; this is its help in one line."""

PROGRAM = "microseg"

EPILOG = """\
Exit codes: 0 done; 1 the policy is wrong or the apply failed, the old policy is in force; 2 there are changes
(plan --detailed-exitcode); 3 refused by a guard; 4 kernel or permission; 64 usage.

Shell completion: eval "$(_MICROSEG_COMPLETE=bash_source microseg)", or zsh_source, fish_source.
"""


class CommandLine(click.Group):
    """Finds commands by name without importing the others, and turns usage errors into exit code 64."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        del ctx
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None when there is none of that name."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"microseg.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands from the table, which needs no import."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: FBT001, FBT002  click's signature
        **extra: Any,  # noqa: ANN401  click's signature
    ) -> Any:  # noqa: ANN401  click's signature
        """Run a command line; ends the process unless standalone_mode is off."""
        code = self._run(args, prog_name, complete_var, extra)
        if not standalone_mode:
            return code
        sys.exit(code)

    def _run(
        self, args: Sequence[str] | None, name: str | None, complete_var: str | None, extra: dict[str, Any]
    ) -> int:
        try:
            answer = super().main(args, name or PROGRAM, complete_var, standalone_mode=False, **extra)
        except click.UsageError as error:
            error.show()
            return ExitCode.USAGE
        except click.ClickException as error:
            error.show()
            return error.exit_code
        except (click.Abort, KeyboardInterrupt):
            click.echo("Interrupted; microseg status shows what is in force.", err=True)
            return ExitCode.INTERRUPTED
        except BrokenPipeError:  # the reader of our output has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains at its end
            return ExitCode.BROKEN_PIPE
        return answer if isinstance(answer, int) else ExitCode.DONE


def _show_version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:  # noqa: FBT001  click's signature
    if asked and not ctx.resilient_parsing:
        click.echo(f"{PROGRAM} {program_version()}")
        ctx.exit()


@click.group(
    cls=CommandLine,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)
def main() -> None:
    """Host micro-segmentation under version control.

    Check a policy with lint and test, see what it would change with plan, and enforce it with apply.
    """
