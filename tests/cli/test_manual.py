"""Manual pages and completion, made of the commands."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import click
import pytest

from microseg.cli import manual
from microseg.cli.main import COMMANDS


@pytest.fixture(scope="module")
def share(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("share")
    subprocess.run([sys.executable, "-m", "microseg.cli.manual", folder], check=True)
    return folder


def test_every_command_has_a_page_with_every_option(share: Path) -> None:
    for name in COMMANDS:
        page = (share / f"man/man1/microseg-{name}.1").read_text().replace("\\-", "-")
        for parameter in import_module(f"microseg.cli.{name}").command.params:
            if isinstance(parameter, click.Option):
                assert all(option in page for option in parameter.opts), f"{name}: {parameter.opts}"
    assert (share / "man/man1/microseg-hooks-install.1").exists()
    main = (share / "man/man1/microseg.1").read_text().replace("\\-", "-")
    assert all(f"\\fB{name}\\fR" in main for name in COMMANDS)


@pytest.mark.skipif(shutil.which("groff") is None, reason="there is no groff")
def test_roff_has_nothing_to_say_about_them(share: Path) -> None:
    pages = sorted((share / "man/man1").iterdir())
    done = subprocess.run(
        ["groff", "-man", "-ww", "-z", "-Tutf8", "-K", "utf8", *pages],
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    shown = subprocess.run(
        ["groff", "-man", "-Tascii", "-P-cbou", share / "man/man1/microseg-apply.1"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert "--lock-timeout SECONDS" in shown.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_what_the_shell_takes(share: Path, shell: str) -> None:
    script = share / manual.SHELLS[shell]
    assert "_MICROSEG_COMPLETE" in script.read_text()
    if shutil.which(shell):
        subprocess.run([shell, "-n", script], check=True)


def test_text_never_becomes_a_request() -> None:
    assert manual._text(".so /etc/passwd") == "\\&.so /etc/passwd"  # noqa: SLF001  the one place that matters
    assert manual._text("a\\b --c") == "a\\eb \\-\\-c"  # noqa: SLF001  as above
