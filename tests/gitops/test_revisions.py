from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from microseg.gitops.errors import (
    DubiousOwnershipError,
    GitMissingError,
    NoPolicyDirectoryError,
    NotARepositoryError,
    UnknownRevisionError,
)
from microseg.gitops.revisions import describe_directory, open_revision
from microseg.source import DirectoryTree, SourceError

OTHER_USER = 65534


@pytest.fixture(autouse=True)
def plain_git(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep this machine's and this user's configuration of git out."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    monkeypatch.delenv("SUDO_UID", raising=False)
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "Tester")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "tester@example.org")


class Repository:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.policies = root / "policies.d"
        self.policies.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=self.root, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def write(self, path: str, text: str) -> None:
        target = self.policies / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def commit(self, subject: str) -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", f"--message={subject}\n\nAnd more of it.")
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "repo")
    made.write("shop.mseg", "first\n")
    made.commit("the first")
    return made


def test_a_commit_is_read_whatever_the_work_tree_holds(repository: Repository) -> None:
    repository.write("shop.mseg", "second\n")
    repository.write("new.mseg", "new\n")

    with open_revision(repository.policies, "HEAD") as tree:
        assert tree.policy_paths() == ["shop.mseg"]
        assert tree.read("shop.mseg") == b"first\n"
        assert tree.revision.subject == "the first"
        assert not tree.revision.dirty
        with pytest.raises(SourceError, match="no such file"):
            tree.read("new.mseg")


@pytest.mark.parametrize("name", ["HEAD", "main", "HEAD~1", "v1", "{short}", "{commit}", "refs/heads/main~1"])
def test_whatever_names_a_commit(repository: Repository, name: str) -> None:
    commit = repository.git("rev-parse", "HEAD")
    repository.git("tag", "v1", "--annotate", "--message=one")
    repository.commit("the second")

    with open_revision(repository.policies, name.format(short=commit[:8], commit=commit)) as tree:
        assert tree.revision.subject in ("the first", "the second")
        assert len(tree.revision.commit) == 40


@pytest.mark.parametrize(
    "name",
    ["nope", "", "a" * 40, "--upload-pack=x", "--output=/dev/null", "-h", "HEAD..HEAD", "^HEAD",
     "HEAD^{tree}", "HEAD:policies.d", "a\0b", "a\nb", ":/", "--"],
)  # fmt: skip
def test_what_names_no_commit_is_refused_and_is_never_an_option(repository: Repository, name: str) -> None:
    with pytest.raises(UnknownRevisionError, match="names no commit"):
        open_revision(repository.policies, name)


def test_the_tree_lists_what_the_directory_lists(repository: Repository) -> None:
    for path in (
        "a.mseg",
        "deep/er/b.mseg",
        ".hidden.mseg",
        ".git-not/c.mseg",
        "lists/drop.netset",
        "ümläut x.mseg",
    ):
        repository.write(path, path)
    repository.commit("more")

    directory = DirectoryTree(repository.policies)
    with open_revision(repository.policies, "HEAD") as tree:
        assert tree.policy_paths() == directory.policy_paths()
        for path in (*tree.policy_paths(), "lists/drop.netset", "./lists//drop.netset"):
            assert tree.read(path) == directory.read(path)


@pytest.mark.parametrize(
    "path",
    ["../outside", "/etc/passwd", "missing.mseg", "deep", "out.mseg", "absolute.mseg", "up/x.mseg",
     "loop.mseg", "", ".", "shop.mseg/x", "through/outside"],
)  # fmt: skip
def test_the_tree_refuses_what_the_directory_refuses(repository: Repository, path: str) -> None:
    repository.write("deep/b.mseg", "b")
    (repository.root / "outside").write_text("outside")
    links = {
        "out.mseg": "../outside",
        "absolute.mseg": "/etc/passwd",
        "up": "..",
        "loop.mseg": "loop.mseg",
        "through": "deep/../..",
    }
    for name, target in links.items():
        (repository.policies / name).symlink_to(target)
    repository.commit("links")

    for tree in (DirectoryTree(repository.policies), open_revision(repository.policies, "HEAD")):
        with pytest.raises(SourceError):
            tree.read(path)
        if not isinstance(tree, DirectoryTree):
            tree.close()


@pytest.mark.parametrize("path", ["link.mseg", "chain.mseg", "folder/list", "deep/back"])
def test_symbolic_links_inside_are_followed(repository: Repository, path: str) -> None:
    repository.write("deep/list", "the list")
    (repository.policies / "link.mseg").symlink_to("deep/list")
    (repository.policies / "chain.mseg").symlink_to("deep/../link.mseg")
    (repository.policies / "folder").symlink_to("deep")
    (repository.policies / "deep" / "back").symlink_to("../deep/list")
    repository.commit("links")

    with open_revision(repository.policies, "HEAD") as tree:
        assert tree.read(path) == b"the list" == DirectoryTree(repository.policies).read(path)
        assert tree.policy_paths() == DirectoryTree(repository.policies).policy_paths()


def test_policies_may_be_the_whole_repository(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repo")
    (repository.root / "a.mseg").write_text("a")
    repository.commit("flat")
    with open_revision(repository.root, "HEAD") as tree:
        assert tree.policy_paths() == ["a.mseg"]


def test_the_directory_may_be_gone_from_the_work_tree(repository: Repository) -> None:
    repository.git("rm", "-r", "--quiet", "policies.d")
    repository.commit("moved away")
    assert not repository.policies.exists()
    with open_revision(repository.policies, "HEAD~1") as tree:
        assert tree.read("shop.mseg") == b"first\n"
    with pytest.raises(NoPolicyDirectoryError, match=r"has no directory policies\.d"):
        open_revision(repository.policies, "HEAD")


def test_a_submodule_is_no_file(repository: Repository) -> None:
    commit = repository.git("rev-parse", "HEAD")
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{commit},policies.d/sub.mseg")
    repository.git("commit", "--quiet", "--message=sub")
    with open_revision(repository.policies, "HEAD") as tree:
        assert tree.policy_paths() == ["shop.mseg"]
        with pytest.raises(SourceError, match="not a regular file"):
            tree.read("sub.mseg")


def test_a_clean_directory_is_its_commit(repository: Repository) -> None:
    revision = describe_directory(repository.policies)
    assert revision is not None
    assert revision.commit == repository.git("rev-parse", "HEAD")
    assert revision.subject == "the first"
    assert not revision.dirty
    assert revision.short() == revision.commit[:10]


@pytest.mark.parametrize(
    ("path", "dirty"),
    [
        ("shop.mseg", True),
        ("new.mseg", True),
        (".shop.mseg.swp", False),
        (".cache/x", False),
        ("../README", False),
    ],
)
def test_what_makes_a_directory_dirty(repository: Repository, path: str, dirty: bool) -> None:  # noqa: FBT001
    repository.write(path, "changed\n")
    revision = describe_directory(repository.policies)
    assert revision is not None
    assert revision.dirty is dirty
    assert revision.short().endswith("+changes") is dirty


def test_staged_and_deleted_files_make_it_dirty_too(repository: Repository) -> None:
    (repository.policies / "shop.mseg").unlink()
    revision = describe_directory(repository.policies)
    assert revision is not None
    assert revision.dirty


def test_a_directory_outside_git_has_no_revision(tmp_path: Path) -> None:
    assert describe_directory(tmp_path) is None
    assert describe_directory(tmp_path / "not" / "there") is None
    with pytest.raises(NotARepositoryError, match="not in a git repository"):
        open_revision(tmp_path, "HEAD")


def test_a_repository_without_a_commit_has_no_revision(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repo")
    assert describe_directory(repository.policies) is None
    with pytest.raises(UnknownRevisionError):
        open_revision(repository.policies, "HEAD")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give the repository away")
def test_the_repository_of_another_user_is_refused_with_what_to_type(repository: Repository) -> None:
    for path in (repository.root, *repository.root.rglob("*")):
        os.lchown(path, OTHER_USER, OTHER_USER)
    with pytest.raises(DubiousOwnershipError) as caught:
        open_revision(repository.policies, "HEAD")
    assert f"safe.directory {repository.root}" in caught.value.advice
    with pytest.raises(DubiousOwnershipError):
        describe_directory(repository.policies)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give the repository away")
def test_under_sudo_the_repository_of_the_caller_is_read(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in (repository.root, *repository.root.rglob("*")):
        os.lchown(path, OTHER_USER, OTHER_USER)
    monkeypatch.setenv("SUDO_UID", str(OTHER_USER))
    assert describe_directory(repository.policies) is not None


def test_a_missing_git_is_told_when_it_is_needed(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(GitMissingError, match="isn't installed"):
        open_revision(repository.policies, "HEAD")


def test_importing_needs_no_git(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from microseg.gitops.revisions import describe_directory as d;"
        f"assert d(Path({str(tmp_path)!r})) is None"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PATH": "/nonexistent"})


def test_reading_leaves_no_process_behind(repository: Repository) -> None:
    with open_revision(repository.policies, "HEAD") as tree:
        tree.read("shop.mseg")
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    names = [Path(f"/proc/{child}/comm").read_text().strip() for child in children]
    assert "git" not in names
