from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import click
import pytest
from cli.terminal_session import Session
from tree import ROOT

from microseg.cli.main import COMMANDS, main

HEAVY = ("bcc", "git", "pyroute2", "rich", "watchdog", "asyncio")


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_table_says_of_each_command_what_it_says_of_itself(name: str) -> None:
    command = import_module(f"microseg.cli.{name}").command
    assert isinstance(command, click.Command)
    assert command.name == name
    assert command.get_short_help_str(200) == COMMANDS[name]


def test_every_module_with_a_command_is_in_the_table() -> None:
    modules = {path.stem for path in (ROOT / "microseg" / "cli").glob("*.py")}
    with_command = {name for name in modules if hasattr(import_module(f"microseg.cli.{name}"), "command")}
    assert with_command == set(COMMANDS)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_help_and_a_page_section(session: Session, name: str) -> None:
    assert "Usage: " in session.expect(0, name, "--help")
    assert f"\n## {name}\n" in (ROOT / "docs" / "commands.md").read_text()


def with_subcommands(command: click.Command) -> list[click.Command]:
    return [command, *(command.commands.values() if isinstance(command, click.Group) else [])]


def test_every_option_is_documented() -> None:
    page = (ROOT / "docs" / "commands.md").read_text()
    for name in COMMANDS:
        for command in with_subcommands(import_module(f"microseg.cli.{name}").command):
            for parameter in command.params:
                if isinstance(parameter, click.Option):
                    assert f"`{max(parameter.opts, key=len)}`" in page, f"{name}: {parameter.opts}"


def test_help_imports_no_command() -> None:
    code = (
        "import sys; from microseg.cli import main\n"
        "main(['--help'], standalone_mode=False)\n"
        "assert not [m for m in sys.modules if m.startswith('microseg.kernel')], sys.modules\n"
        "assert 'microseg.cli.apply' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert all(name in done.stdout for name in COMMANDS)


def test_lint_imports_nothing_heavy(session: Session) -> None:
    code = (
        "import sys; from microseg.cli import main\n"
        f"assert main(['lint', {str(session.policies)!r}], standalone_mode=False) == 0\n"
        f"assert not set({HEAVY!r}) & sys.modules.keys(), sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "words", [["nonsense"], ["plan", "--nonsense"], ["apply", "--hook", "cheese"], ["explain", "MS9"], []]
)
def test_a_wrong_command_line_is_64(session: Session, words: list[str]) -> None:
    assert session.type(*words).exit_code == 64


def test_unforeseen_mistakes_keep_their_traceback(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("microseg.cli.policy_input.examine", broken)
    assert isinstance(session.type("test").exception, ZeroDivisionError)


def test_the_version(session: Session) -> None:
    assert session.expect(0, "--version").startswith("microseg ")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str) -> None:
    env = os.environ | {"_MICROSEG_COMPLETE": f"{shell}_source"}
    program = Path(sys.executable).parent / "microseg"
    done = subprocess.run([program], env=env, capture_output=True, text=True, check=True)
    assert "_MICROSEG_COMPLETE" in done.stdout


def test_commands_are_completed() -> None:
    env = os.environ | {"_MICROSEG_COMPLETE": "bash_complete", "COMP_WORDS": "microseg ro", "COMP_CWORD": "1"}
    program = Path(sys.executable).parent / "microseg"
    done = subprocess.run([program], env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "plain,rollback\n"


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("microseg explain ms20", "MS201"), ("microseg apply -i l", "lo"), ("microseg hooks in", "install")],
)
def test_what_can_be_typed_next_is_offered(typed: str, offered: str) -> None:
    count = str(len(typed.split()) - 1)
    env = os.environ | {"_MICROSEG_COMPLETE": "bash_complete", "COMP_WORDS": typed, "COMP_CWORD": count}
    program = Path(sys.executable).parent / "microseg"
    done = subprocess.run([program], env=env, capture_output=True, text=True, check=True)
    assert f"plain,{offered}" in done.stdout.splitlines()


def test_a_reader_that_leaves_early_is_no_traceback() -> None:
    program = Path(sys.executable).parent / "microseg"
    done = subprocess.run(
        ["bash", "-c", f"{program} explain | head -1; exit ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith("MS001")
    assert "Traceback" not in done.stderr


def test_main_is_the_entry_point() -> None:
    assert main.name == "main"
