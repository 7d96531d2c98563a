"""Kernel packages of a Debian suite, fetched by apt from a configuration of their own.

The machine's lists and installed packages are neither read nor changed, so that a machine of another release
gets the same kernels. Its mirror and its proxy settings hold.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
METAPACKAGE = "linux-image-amd64"
WITH_SECURITY_ARCHIVE = frozenset({"bookworm", "trixie"})
MIRROR = re.compile(r"^(\S+/debian(?:-security)?)/?$", re.MULTILINE)

# One package up to 6.12; later ones are in parts.
KERNEL_PACKAGE = re.compile(r"^(linux-(?:base|binary|image|modules)-\d\S*)$", re.MULTILINE)


class ArchiveError(Exception):
    """No kernel could be had; says what apt said."""


@dataclass(frozen=True, slots=True)
class Archive:
    """A suite, and the folder that keeps what was fetched of it."""

    suite: str
    folder: Path

    def kernel(self, *, update: bool) -> tuple[Path, ...]:
        """Return the suite's newest kernel as .deb files; without update, those fetched last serve."""
        kept = self._kept()
        if kept and not update:
            return kept
        self._configure(machine_s_mirrors())
        self._run("apt-get", "update")
        names = self._package_names()
        for old in kept:
            if not any(old.name.startswith(f"{name}_") for name in names):
                old.unlink()
        self._run("apt-get", "download", *names)
        return self._kept()

    def _kept(self) -> tuple[Path, ...]:
        return tuple(sorted(self.folder.glob("linux-*.deb")))

    def _configure(self, mirrors: list[str]) -> None:
        for name in ("lists/partial", "cache/archives/partial"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "installed").touch()
        (self.folder / "sources.list").write_text("".join(f"{line}\n" for line in self._sources(mirrors)))

    def _sources(self, mirrors: list[str]) -> Iterator[str]:
        for mirror in mirrors:
            security = mirror.endswith("-security")
            if not security or self.suite in WITH_SECURITY_ARCHIVE:
                suite = f"{self.suite}-security" if security else self.suite
                yield f"deb [arch=amd64 signed-by={KEYRING}] {mirror} {suite} main"

    def _package_names(self) -> list[str]:
        """Return the packages of the kernel that the suite's metapackage stands for today."""
        kinds = ("suggests", "recommends", "conflicts", "breaks", "replaces", "enhances")
        without = [f"--no-{kind}" for kind in kinds]
        names = KERNEL_PACKAGE.findall(self._run("apt-cache", "depends", "--recurse", *without, METAPACKAGE))
        if not names:
            raise ArchiveError(f"{self.suite} has no {METAPACKAGE}")
        return sorted(set(names))

    def _run(self, program: str, *arguments: str) -> str:
        options = {
            "Dir::Etc::SourceList": self.folder / "sources.list",
            "Dir::Etc::SourceParts": "/dev/null",
            "Dir::State::Lists": self.folder / "lists",
            "Dir::State::status": self.folder / "installed",
            "Dir::Cache": self.folder / "cache",
            "Acquire::Languages": "none",
            "APT::Sandbox::User": "root",
        }
        words = [f"-o{name}={value}" for name, value in options.items()]
        return _output([program, "-q", *words, *arguments], self.folder)


def machine_s_mirrors() -> list[str]:
    """Return where this machine gets Debian's packages and security updates; raises ArchiveError."""
    listed = _output(["apt-get", "indextargets", "--format", "$(REPO_URI)"], Path("/"))
    mirrors = sorted(set(MIRROR.findall(listed)))
    if not mirrors:
        raise ArchiveError("apt's sources name no mirror of Debian, so there is none to take a kernel from")
    return mirrors


def _output(words: list[str], folder: Path) -> str:
    done = subprocess.run(words, cwd=folder, check=False, capture_output=True, text=True)
    if done.returncode:
        raise ArchiveError(f"{shlex.join(words)}\n{done.stderr.strip()}")
    return done.stdout
