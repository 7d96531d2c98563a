"""A qemu machine that runs one command in the host's own files, under another kernel.

The host's root is shared read-only; what the guest writes stays in its memory. It has no network device.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import threading
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from .cpio import FOLDER, Entry, archive
from .package import Kernel

HERE = Path(__file__).parent
BUSYBOX = Path("/bin/busybox")
FOLDERS = ("bin", "dev", "layers", "modules", "new", "proc", "sys")
# A warning of the kernel stops the run; watchdogs don't, since an emulated processor is slow.
BOOT_OPTIONS = (
    "console=ttyS0 quiet panic=-1 oops=panic mitigations=off nowatchdog rcupdate.rcu_cpu_stall_suppress=1"
)


class Accelerator(StrEnum):
    """What executes the guest: emulation, which works anywhere, or the processor itself."""

    TCG = "tcg"
    KVM = "kvm"


# Emulating an old processor is a quarter cheaper: the kernel leaves alone what costs most to emulate.
PROCESSORS = {Accelerator.TCG: "Nehalem", Accelerator.KVM: "host"}


class MachineError(Exception):
    """The guest ended without saying how its command ended."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine of two processors, as the tests need several."""

    kernel: Kernel
    accelerator: Accelerator
    memory_mib: int
    timeout_s: float

    def run(self, command: list[str], folder: Path) -> int:
        """Run a command in the guest, its output on ours, and return its exit status.

        folder is for the machine's own files. Raises MachineError when there was no status: a kernel panic,
        a machine that didn't boot, or the time was up.
        """
        initramfs = folder / "initramfs"
        outcome = folder / "outcome"
        initramfs.write_bytes(first_files(self.kernel, command))
        timed_out = self._boot(initramfs, outcome)
        said = outcome.read_text(errors="replace").split() if outcome.exists() else []
        if len(said) == 2 and said[0] == self.kernel.release:
            return int(said[1])
        if timed_out:
            raise MachineError(
                f"not done after {self.timeout_s / 60:.0f} minutes, so the machine was stopped"
            )
        raise MachineError("the machine stopped before the command ended; its last words are above")

    def _boot(self, initramfs: Path, outcome: Path) -> bool:
        """Run the machine until it stops; return whether it had to be stopped."""
        with subprocess.Popen(
            self._words(initramfs, outcome), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
        ) as process:
            timer = threading.Timer(self.timeout_s, process.kill)
            timer.start()
            try:
                assert process.stdout is not None
                for line in process.stdout:
                    sys.stdout.write(line.decode(errors="replace").replace("\r", ""))
                    sys.stdout.flush()
            finally:
                timed_out = not timer.is_alive()
                timer.cancel()
                process.kill()
            return timed_out

    def _words(self, initramfs: Path, outcome: Path) -> list[str]:
        processor = PROCESSORS[self.accelerator]
        share = "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap"
        return [
            *("setpriv", "--pdeathsig", "KILL"),  # the machine never outlives us
            *("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"),
            *("-accel", self.accelerator, "-cpu", processor, "-smp", "2", "-m", f"{self.memory_mib}M"),
            *("-kernel", str(self.kernel.image), "-initrd", str(initramfs), "-append", BOOT_OPTIONS),
            *("-virtfs", share, "-serial", "stdio", "-serial", f"file:{outcome}"),
        ]


def first_files(kernel: Kernel, command: list[str]) -> bytes:
    """Return the first root file system: enough to reach the host's files."""
    modules = [Entry(f"modules/{one.name}.ko", one.contents) for one in kernel.modules]
    order = "".join(f"/modules/{one.name}.ko\n" for one in kernel.modules)
    return archive(
        [
            *(Entry(name, mode=FOLDER) for name in FOLDERS),
            Entry("bin/busybox", BUSYBOX.read_bytes()),
            Entry("init", (HERE / "init.sh").read_bytes()),
            Entry("inside.sh", (HERE / "inside.sh").read_bytes()),
            Entry("checkout", str(Path.cwd()).encode()),
            Entry("command.sh", shlex.join(command).encode()),
            Entry("modules/order", order.encode()),
            *modules,
        ]
    )
