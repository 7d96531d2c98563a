"""The real `microseg` command line, on the host, with every path moved into the demonstration's folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from examples.demo.network import NODES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from examples.demo.narration import Narrator
    from examples.demo.network import Network

PROGRAM = Path(sys.executable).parent / "microseg"
TIMEOUT_S = 120
EVENTS_WITHIN_S = 20.0
"""How long events may take to be told; on a busy machine the observer takes a while to start."""

SETTINGS = """\
policy_dir = "{policy_dir}"
state_dir  = "{folder}/state"
run_dir    = "{folder}/run"
pin_dir    = "{pin_dir}"
interfaces = [{interfaces}]
"""


@dataclass(frozen=True)
class Microseg:
    """One instance of microseg, on the host of the network."""

    narrator: Narrator
    network: Network
    folder: Path
    policy_dir: Path
    pin_dir: Path

    @property
    def settings_file(self) -> Path:
        return self.folder / "microseg.toml"

    def configure(self) -> str:
        """Write microseg.toml, and return its text."""
        text = SETTINGS.format(
            policy_dir=self.policy_dir,
            folder=self.folder,
            pin_dir=self.pin_dir,
            interfaces=", ".join(f'"{node.name}"' for node in NODES),
        )
        self.settings_file.write_text(text)
        return text

    def run(self, *arguments: str, exit_code: int = 0) -> str:
        """Type a command, show what it says, and return it; the exit code has to be the expected one."""
        self.narrator.command(["microseg", *arguments])
        run = self._run(*arguments)
        self.narrator.show(run.stdout)
        self.narrator.result("exit code", str(run.returncode), expected=run.returncode == exit_code)
        self.narrator.pause()
        return run.stdout

    @contextmanager
    def observing(self, enough: Callable[[Sequence[str]], bool]) -> Iterator[list[str]]:
        """Watch events meanwhile and until there are enough; the list has the lines that came."""
        lines: list[str] = []
        self.narrator.command(["microseg", "observe"])
        observer = subprocess.Popen(
            self.network.command_on_host(str(PROGRAM), "observe"),
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        reader = threading.Thread(target=lines.extend, args=(observer.stdout or (),), daemon=True)
        reader.start()
        try:
            yield lines
            deadline = time.monotonic() + EVENTS_WITHIN_S
            while not enough(lines) and time.monotonic() < deadline:
                time.sleep(0.05)
        finally:
            observer.send_signal(signal.SIGINT)
            observer.wait(TIMEOUT_S)
            reader.join()
        self.narrator.show("".join(lines))

    def remove(self) -> None:
        """End enforcement, quietly; for the end, however it comes."""
        if self.pin_dir.exists():
            self._run("detach")

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.network.command_on_host(str(PROGRAM), *arguments),
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=TIMEOUT_S,
            check=False,
            text=True,
        )

    def _environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("MICROSEG_")}
        return inherited | {"MICROSEG_CONFIG": str(self.settings_file), "NO_COLOR": "1"}
