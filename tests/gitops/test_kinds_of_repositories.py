"""Bare and shallow clones, linked work trees and submodules: the same policies, or said what they are."""

from __future__ import annotations

from pathlib import Path

import pytest
from gitops.agent_world import GIT_ENVIRONMENT, MAIN, Clone, git, policy

from microseg.gitops.errors import NoPolicyDirectoryError, NotARepositoryError, UnknownRevisionError
from microseg.gitops.revisions import describe_directory, find_candidate, git_directories, open_revision


@pytest.fixture(autouse=True)
def plain_git(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in GIT_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def origin(tmp_path: Path) -> Clone:
    made = Clone(tmp_path / "repositories")
    made.push(policy(1), "the first")
    made.push(policy(2), "the second")
    return made


def read(policy_dir: Path, revision: str) -> bytes:
    with open_revision(policy_dir, revision) as tree:
        assert tree.policy_paths() == ["shop.mseg"]
        return tree.read("shop.mseg")


def test_in_a_bare_repository_the_directory_is_one_of_its_commits(origin: Clone) -> None:
    assert read(origin.bare / "policies.d", MAIN) == policy(2).encode()
    assert read(origin.bare / "policies.d", f"{MAIN}~1") == policy(1).encode()
    with pytest.raises(NoPolicyDirectoryError, match=r"has no directory policies\.x"):
        open_revision(origin.bare / "policies.x", MAIN)


@pytest.mark.parametrize("inside", ["refs", "objects", "hooks/x"])
def test_git_s_own_folders_hold_no_policies(origin: Clone, inside: str) -> None:
    for git_dir in (origin.bare, origin.root / ".git"):
        (git_dir / inside).mkdir(exist_ok=True, parents=True)
        with pytest.raises(NotARepositoryError, match="belongs to git itself"):
            open_revision(git_dir / inside, MAIN)


def test_a_linked_work_tree_has_a_head_of_its_own(origin: Clone, tmp_path: Path) -> None:
    linked = tmp_path / "linked"
    git(origin.root, "worktree", "add", "--quiet", "--detach", str(linked), "HEAD~1")
    assert read(linked / "policies.d", "HEAD") == policy(1).encode()
    assert read(linked / "policies.d", MAIN) == policy(2).encode()
    revision = describe_directory(linked / "policies.d")
    assert revision
    assert (revision.subject, revision.dirty) == ("the first", False)
    head, shared = git_directories(linked / "policies.d")
    assert head == shared / "worktrees" / "linked"


def test_a_shallow_clone_says_that_it_is_one(origin: Clone, tmp_path: Path) -> None:
    shallow = tmp_path / "shallow"
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{origin.bare}", str(shallow))
    before, _ = find_candidate(origin.policies, "HEAD~1", None)
    assert read(shallow / "policies.d", "HEAD") == policy(2).encode()
    with pytest.raises(UnknownRevisionError) as caught:
        open_revision(shallow / "policies.d", "HEAD~1")
    assert "git fetch --unshallow" in caught.value.advice
    assert find_candidate(shallow / "policies.d", "HEAD", before)[1] is False, "it can't be known"


def test_a_submodule_is_a_repository_of_its_own(origin: Clone, tmp_path: Path) -> None:
    around = tmp_path / "around"
    git(tmp_path, "init", "--quiet", str(around))
    allowed = ("-c", "protocol.file.allow=always")
    git(around, *allowed, "submodule", "--quiet", "add", "-b", MAIN, str(origin.bare), "policies")
    git(around, "commit", "--quiet", "--message=around")
    assert read(around / "policies" / "policies.d", "HEAD") == policy(2).encode()
    revision = describe_directory(around / "policies" / "policies.d")
    assert revision
    assert revision.subject == "the second"
    git(around, "submodule", "--quiet", "deinit", "--force", "policies")
    (around / "policies").rmdir()
    with pytest.raises(NoPolicyDirectoryError, match="policies is a submodule"):
        open_revision(around / "policies", "HEAD")


def test_rewritten_history_is_told_from_history_that_goes_on(origin: Clone) -> None:
    first, _ = find_candidate(origin.policies, "HEAD~1", None)
    second, rewritten = find_candidate(origin.policies, "HEAD", first)
    assert (second.revision and second.revision.subject, rewritten) == ("the second", False)
    assert find_candidate(origin.policies, "HEAD", second) == (second, False)
    assert find_candidate(origin.policies, "HEAD~1", second) == (first, True)
    assert second.committed_at


def test_a_subject_that_is_not_utf_8_is_no_obstacle(origin: Clone) -> None:
    git(
        origin.root,
        "-c",
        "i18n.commitEncoding=UTF-8",
        "commit",
        "--quiet",
        "--allow-empty",
        "--message=x\udcff",
    )
    found, _ = find_candidate(origin.policies, "HEAD", None)
    assert found.revision
    assert found.revision.subject.encode()
