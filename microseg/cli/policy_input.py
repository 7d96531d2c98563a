"""The policy a command works on: the files as they are, or those of one commit."""

from __future__ import annotations

from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from microseg.analysis.examine import Examination, examine
from microseg.analysis.memory import Memory
from microseg.cli import terminal
from microseg.cli.clock import now
from microseg.gitops.errors import GitError
from microseg.lang.ahead import parse_ahead
from microseg.output.places import Places
from microseg.phases import Phase, untold
from microseg.reconcile.errors import NoPolicyError
from microseg.source import DirectoryTree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from microseg.abi import PolicyMap
    from microseg.phases import Told
    from microseg.reconcile.desired import Desired
    from microseg.reconcile.revision import Revision
    from microseg.source import SourceTree

NAME_THE_DIRECTORY = (
    "name the policy directory: --policy-dir, MICROSEG_POLICY_DIR, or policy_dir in microseg.toml; "
    "`microseg init` makes one"
)


@dataclass(frozen=True, slots=True)
class PolicyInput:
    """A policy directory and what it is a revision of (None: outside git, or not asked for).

    Who waits for what is found out about it is told how far that is.
    """

    tree: SourceTree
    revision: Revision | None
    told: Told = untold

    def examine(self, *, audit: bool, capacities: Mapping[PolicyMap, int] | None = None) -> Examination:
        """Compile and check it as of today, in UTC, so that all hosts agree on the day."""
        memory = self.parsed_ahead()
        return examine(
            self.tree, now().date(), audit=audit, capacities=capacities, memory=memory, told=self.told
        )

    def parsed_ahead(self) -> Memory:
        """Return a memory that has the large files, parsed on all processors or kept from an earlier run."""
        memory = Memory()
        self.told(Phase.PARSE, 0)
        parse_ahead(self.tree, memory.compiling.files, self.told)
        return memory

    def compiler(self, *, audit: bool) -> Callable[[Mapping[PolicyMap, int]], Desired]:
        """Return what makes the desired contents, given how many entries fit each map."""
        from microseg.reconcile.desired import desired_of  # noqa: PLC0415  lint and fmt need none of it

        def compile_policy(capacities: Mapping[PolicyMap, int]) -> Desired:
            return desired_of(self.examine(audit=audit, capacities=capacities), self.revision)

        return compile_policy


def places(policy_dir: Path) -> Places:
    """Return how the policy's files are called by readers that start where we were called."""
    return Places.seen_from(PurePosixPath(Path.cwd()), PurePosixPath(policy_dir.resolve()))


def files(policy_dir: Path) -> PolicyInput:
    """Return the files as they are, without asking git; raises SourceError or NoPolicyError."""
    if not policy_dir.exists():
        raise NoPolicyError(
            f"there is no policy directory {policy_dir}; nothing was changed", advice=NAME_THE_DIRECTORY
        )
    return _checked(PolicyInput(DirectoryTree(policy_dir), None), str(policy_dir))


@contextmanager
def committed(policy_dir: Path, rev: str) -> Iterator[PolicyInput]:
    """Give the policy of a commit; raises GitError or NoPolicyError."""
    from microseg.gitops import revisions  # noqa: PLC0415  git takes a while to import, and most need none

    with revisions.open_revision(policy_dir, rev) as tree:
        yield _checked(PolicyInput(tree, tree.revision), f"commit {tree.revision.short()}")


def text(policy_dir: Path, rev: str | None) -> AbstractContextManager[PolicyInput]:
    """Give the policy of a commit, or the files as they are without asking git."""
    return nullcontext(files(policy_dir)) if rev is None else committed(policy_dir, rev)


@contextmanager
def chosen(policy_dir: Path, rev: str | None) -> Iterator[PolicyInput]:
    """Give the policy of a commit, or, when none is named, the files as they are with the one they come from.

    Raises:
        SourceError: the directory can't be read.
        NoPolicyError: it has no policy files.
        GitError: the commit isn't there.

    """
    if rev is None:
        given = files(policy_dir)
        yield replace(given, revision=_describe(policy_dir))
        return
    with committed(policy_dir, rev) as given:
        yield given


def _describe(policy_dir: Path) -> Revision | None:
    """Return the revision; when git can't say, the files still are what they are."""
    from microseg.gitops import revisions  # noqa: PLC0415  as above

    try:
        return revisions.describe_directory(policy_dir)
    except GitError as error:
        terminal.warn(f"{error.message}; the revision is not known")
        if error.advice:
            terminal.remark("try", error.advice)
        return None


def _checked(given: PolicyInput, where: str) -> PolicyInput:
    if not given.tree.policy_paths():
        raise NoPolicyError(
            f"there is no policy file (*.mseg) in {where}; nothing was changed",
            advice=NAME_THE_DIRECTORY,
        )
    return given
