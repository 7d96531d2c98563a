"""A new repository of policies, with an example that is green, hooks and workflow. Overwrites nothing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from microseg.gitops import hooks
from microseg.gitops.command import git
from microseg.gitops.errors import ForeignHookError, GitError, NotARepositoryError

if TYPE_CHECKING:
    from collections.abc import Iterator

TEMPLATES = "_templates"
"""Folder inside the package, a link to examples/repository in the repository."""

FILES = {
    "policies.d/example.mseg": "example.mseg",
    "microseg.toml": "microseg.toml",
    ".pre-commit-config.yaml": "pre-commit.yaml",
    ".github/workflows/policy.yml": "workflow.yml",
    ".gitattributes": "gitattributes",
    ".gitignore": "gitignore",
}
"""What is written, and the template it is made from."""

VERSION_MARK = "@VERSION@"


class Fate(Enum):
    """What became of something that was to be made; the value is the word that is shown."""

    MADE = "made"
    KEPT = "kept"
    """It was there already and stays as it is."""


@dataclass(frozen=True, slots=True)
class Made:
    """One thing of the new repository."""

    path: Path
    fate: Fate


def make_repository(folder: Path, version: str, program: tuple[str, ...]) -> Iterator[Made]:
    """Make what is missing of a repository of policies, and yield each thing.

    A folder that has policy files already gets no example.

    Args:
        folder: its top; made when it isn't there.
        version: of microseg, for continuous integration.
        program: command line of the hooks.

    Raises:
        GitError: the folder is in the middle of another repository, or git can't make one.
        OSError: something can't be written.

    """
    folder.mkdir(parents=True, exist_ok=True)
    yield Made(folder / ".git", _init(folder))
    for name, template in FILES.items():
        path = folder / name
        if path.suffix == ".mseg" and any(path.parent.rglob("*.mseg")):
            continue
        yield Made(path, _write(path, template_text(template).replace(VERSION_MARK, version)))
    repository = hooks.find_repository(folder)
    try:
        written = hooks.install(repository, repository.default_hooks(), program)
    except ForeignHookError:
        yield Made(repository.folder, Fate.KEPT)
        return
    for hook in written:
        yield Made(hook.path, Fate.MADE)


def template_text(name: str) -> str:
    """Return a template as the package has it."""
    return resources.files("microseg").joinpath(TEMPLATES, name).read_text(encoding="utf-8")


def default_interface(routes: Path = Path("/proc/net/route")) -> str:
    """Return the interface of the default route, for examples in messages; empty when there is none."""
    try:
        lines = routes.read_text().splitlines()[1:]
    except OSError:
        return ""
    return next((name for name, destination, *_ in map(str.split, lines) if destination == "00000000"), "")


def _init(folder: Path) -> Fate:
    try:
        top = Path(str(git(folder, "rev-parse", "--show-toplevel")))
    except GitError as error:
        if "not a git repository" not in error.message:
            raise
    else:
        if top.resolve() != folder.resolve():
            raise NotARepositoryError(
                f"{folder} is in the middle of the repository {top}; nothing was written",
                advice=f"microseg init {top}",
            )
        return Fate.KEPT
    git(folder, "init", "--quiet", "--initial-branch=main")
    return Fate.MADE


def _write(path: Path, text: str) -> Fate:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return Fate.KEPT
    return Fate.MADE
