"""Running git, where its library has no word for what is wanted."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from microseg.gitops.errors import GitError, GitMissingError
from microseg.gitops.fetching import TRANSPORTS

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

TIMEOUT_S = 60.0

_SETTINGS = {"LC_ALL": "C.UTF-8", "GIT_TERMINAL_PROMPT": "0", "GIT_ALLOW_PROTOCOL": TRANSPORTS}


def git(folder: Path, *words: str, fine: Collection[int] = (0,), timeout_s: float = TIMEOUT_S) -> str | None:
    """Run git in a folder and return what it printed, without the last newline; None for a status but 0.

    The words are arguments, never a shell's; what comes from outside must not begin with `-`, or has to stand
    behind `--end-of-options`. File names that aren't UTF-8 survive.

    Args:
        folder: where it runs.
        words: its arguments.
        fine: statuses that are an answer.
        timeout_s: how long to wait for it.

    Raises:
        GitMissingError: git isn't installed.
        GitError: any other status, or no end within the time.

    """
    try:
        done = subprocess.run(  # noqa: S603  a list of arguments, no shell
            ["git", *words],  # noqa: S607  where PATH says, as for every user of git
            cwd=folder,
            env=os.environ
            | {"LC_ALL": "C.UTF-8", "GIT_TERMINAL_PROMPT": "0", "GIT_ALLOW_PROTOCOL": TRANSPORTS},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired as error:
        raise GitError(f"git {words[0]} did not end within {timeout_s:.0f} s") from error
    except FileNotFoundError as error:
        if not folder.is_dir():
            raise GitError(f"{folder} is no directory") from error
        raise GitMissingError("the program git isn't installed", advice="apt install git") from error
    if done.returncode not in fine:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise GitError(f"git {words[0]}: {lines[-1] if lines else f'status {done.returncode}'}")
    return os.fsdecode(done.stdout).removesuffix("\n") if done.returncode == 0 else None
