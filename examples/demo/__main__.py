"""`make demo`: set the stage, play, and leave nothing behind, however it ends."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn

from examples.demo.commandline import Microseg
from examples.demo.narration import Narrator, UntrueError
from examples.demo.network import Network
from examples.demo.repository import Repository
from examples.demo.story import Story
from examples.demo.traffic import Traffic

BPFFS = Path("/sys/fs/bpf")
ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> int:
    """Play; returns 0 when everything was as said."""
    narrator = Narrator()
    for number in ENDING_SIGNALS:
        signal.signal(number, leave)
    with ExitStack() as stage:
        stage.callback(narrator.say, "The network, the filter and the folder of this demonstration are gone.")
        try:
            set_stage(narrator, stage).play()
        except UntrueError as error:
            narrator.fail(f"not as it was said: {error}")
            return 1
        except (OSError, subprocess.SubprocessError) as error:
            narrator.fail(f"could not go on: {error}")
            return 1
        finally:
            for number in ENDING_SIGNALS:
                signal.signal(number, signal.SIG_IGN)
    narrator.end()
    return 0


def leave(number: int, _: object) -> NoReturn:
    """Unwind everything when somebody wants the end now."""
    raise SystemExit(128 + number)


def set_stage(narrator: Narrator, stage: ExitStack) -> Story:
    """Make what the story needs; the stage takes it away again, in reverse order."""
    name = f"msdemo-{os.getpid()}"
    folder = Path(stage.enter_context(tempfile.TemporaryDirectory(prefix=f"{name}-")))
    pins = BPFFS / name
    stage.callback(shutil.rmtree, pins, ignore_errors=True)
    network = stage.enter_context(Network(name))
    repository = Repository(folder / "repository")
    microseg = Microseg(narrator, network, folder, repository.policies, pins)
    stage.callback(microseg.remove)
    traffic = stage.enter_context(Traffic(network))
    return Story(narrator, traffic, repository, microseg)


if __name__ == "__main__":
    sys.exit(main())
