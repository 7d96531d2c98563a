"""The demonstration runs to its end, says so when something is untrue, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from tree import ROOT

from examples.demo.narration import Narrator, UntrueError

pytestmark = pytest.mark.kernel


class Demo:
    """A running demonstration."""

    def __init__(self, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "examples.demo"],
            cwd=ROOT,
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def finish(self) -> str:
        output, _ = self.process.communicate(timeout=500)
        return output

    def remains(self) -> list[Path]:
        """Return the namespaces, pins and folders that are still there."""
        name = f"msdemo-{self.process.pid}"
        places = (Path("/run/netns"), Path("/sys/fs/bpf"), Path(tempfile.gettempdir()))
        return [path for place in places if place.exists() for path in place.glob(f"{name}*")]

    def wait_for_namespaces(self) -> None:
        deadline = time.monotonic() + 120
        while len(list(Path("/run/netns").glob(f"msdemo-{self.process.pid}-*"))) < 4:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_everything_is_as_it_is_said() -> None:
    demo = Demo()
    output = demo.finish()
    assert demo.process.returncode == 0, output
    assert "Everything was as said" in output
    assert re.search(r"Sessions: [1-9]\d* of \d+ live sessions would be cut", output)
    assert len(re.findall(r"^\d\. ", output, re.MULTILINE)) == 7
    assert demo.remains() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demonstration_cleans_up(number: signal.Signals) -> None:
    demo = Demo()
    demo.wait_for_namespaces()
    time.sleep(2)  # somewhere in the first acts
    demo.process.send_signal(number)
    output = demo.finish()
    assert demo.process.returncode == 128 + number, output
    assert demo.remains() == []


def test_a_demonstration_that_cannot_go_on_cleans_up_and_fails(tmp_path: Path) -> None:
    for name in ("ip", "nsenter"):
        (tmp_path / name).symlink_to(f"/usr/bin/{name}")
    demo = Demo(PATH=str(tmp_path))
    output = demo.finish()
    assert demo.process.returncode == 1
    assert "demo: could not go on: " in output
    assert "'git'" in output
    assert demo.remains() == []


def test_an_untrue_statement_ends_it() -> None:
    with pytest.raises(UntrueError, match="web -> db: answered"):
        Narrator().result("web -> db", "answered", expected=False)
