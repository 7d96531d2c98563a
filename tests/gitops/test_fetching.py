from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest
from gitops.agent_world import GIT_ENVIRONMENT, MAIN, Clone, git, policy

from microseg.gitops.errors import GitError, GitMissingError, RemoteError
from microseg.gitops.fetching import FOLLOWED, Remote, fetch


@pytest.fixture(autouse=True)
def plain_git(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in GIT_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def origin(tmp_path: Path) -> Clone:
    made = Clone(tmp_path / "repositories")
    made.push(policy(1), "the first")
    return made


def followed(clone: Path) -> str:
    return git(clone, "rev-parse", f"{FOLLOWED}^{{commit}}")


@pytest.mark.parametrize("name", [MAIN, f"refs/heads/{MAIN}", "v1", "refs/tags/v1", "{commit}"])
def test_a_branch_a_tag_or_a_commit_is_fetched(origin: Clone, tmp_path: Path, name: str) -> None:
    commit = git(origin.root, "rev-parse", "HEAD")
    git(origin.root, "tag", "--annotate", "--message=one", "v1")
    git(origin.root, "push", "--quiet", "origin", "v1")
    fetch(tmp_path / "clone.git", Remote(str(origin.bare), name.format(commit=commit), 60))
    assert followed(tmp_path / "clone.git") == commit


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_only_what_is_followed_is_fetched(origin: Clone, tmp_path: Path, scheme: str) -> None:
    git(origin.root, "push", "--quiet", "origin", f"HEAD:refs/heads/{MAIN}-other")
    clone = tmp_path / "clone.git"
    fetch(clone, Remote(f"{scheme}{origin.bare}", MAIN, 60))
    assert git(clone, "for-each-ref", "--format=%(refname)") == FOLLOWED


@pytest.mark.parametrize(
    "name",
    ["--upload-pack=touch x", "-o", "a b", "a..b", "a~1", "a:b", "a^", "", "a\nb", "a/", "x.lock", ".a",
     "a/.b", "@{u}", "*", "a\\b"],
)  # fmt: skip
def test_what_can_be_no_name_is_refused(name: str) -> None:
    with pytest.raises(GitError, match="can't be the name"):
        Remote("/somewhere", name, 1)


@pytest.mark.parametrize("url", ["--upload-pack=touch x", "-oProxyCommand=x", ""])
def test_what_can_be_no_address_is_refused(url: str) -> None:
    with pytest.raises(GitError, match="no address"):
        Remote(url, MAIN, 1)


@pytest.mark.parametrize(
    "url",
    [
        "ext::sh -c 'touch {}' x",
        "git://127.0.0.1:1/x",
        "http://127.0.0.1:1/x",
        "ssh://-oProxyCommand=touch {}/x",
    ],
)
def test_a_transport_that_runs_commands_or_has_no_keys_is_refused(tmp_path: Path, url: str) -> None:
    trace = tmp_path / "trace"
    with pytest.raises(RemoteError):
        fetch(tmp_path / "clone.git", Remote(url.format(trace), MAIN, 60))
    assert not trace.exists()


def test_a_branch_that_looks_like_an_option_is_only_a_branch(origin: Clone, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    name = f"--upload-pack=touch${{IFS}}{trace}"
    git(origin.bare, "update-ref", f"refs/heads/{name}", git(origin.root, "rev-parse", "HEAD"))
    fetch(tmp_path / "clone.git", Remote(str(origin.bare), MAIN, 60))
    with pytest.raises(GitError, match="can't be the name"):
        Remote(str(origin.bare), name, 60)
    assert not trace.exists()


def test_a_fetch_that_hangs_is_ended_with_all_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid_file = tmp_path / "pid"
    ssh = tmp_path / "ssh"
    ssh.write_text(f"#!/bin/sh\necho $$ >{pid_file}\nexec sleep 600\n")
    ssh.chmod(0o755)
    monkeypatch.setenv("GIT_SSH", str(ssh))
    began = time.monotonic()
    with pytest.raises(RemoteError, match="did not end within 2 s"):
        fetch(tmp_path / "clone.git", Remote("ssh://example.org/x", MAIN, 2))
    assert time.monotonic() - began < 60
    pid = int(pid_file.read_text())
    while Path(f"/proc/{pid}").exists() and " Z " not in Path(f"/proc/{pid}/stat").read_text():
        assert time.monotonic() - began < 60
        time.sleep(0.01)


def test_nothing_is_asked_on_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ssh = tmp_path / "ssh"
    ssh.write_text('#!/bin/sh\n[ "$GIT_TERMINAL_PROMPT" = 0 ] && ! [ -t 0 ] || sleep 600\nexit 7\n')
    ssh.chmod(0o755)
    monkeypatch.setenv("GIT_SSH", str(ssh))
    with pytest.raises(RemoteError, match="can't be fetched"):
        fetch(tmp_path / "clone.git", Remote("ssh://example.org/x", MAIN, 60))


def test_a_missing_git_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(GitMissingError, match="isn't installed"):
        fetch(tmp_path / "clone.git", Remote("/somewhere", MAIN, 60))


def test_a_repository_around_the_clone_is_left_alone(origin: Clone, tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    clone = tmp_path / "state" / "clone.git"
    fetch(clone, Remote(str(origin.bare), MAIN, 60))
    (clone / "HEAD").unlink()
    fetch(clone, Remote(str(origin.bare), MAIN, 60))
    assert followed(clone) == git(origin.root, "rev-parse", "HEAD")
    assert git(tmp_path, "for-each-ref") == ""


def test_a_caller_s_repository_is_not_ours(
    origin: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the agent is started from a hook, which has GIT_DIR set."""
    monkeypatch.setenv("GIT_DIR", str(origin.bare))
    fetch(tmp_path / "clone.git", Remote(str(origin.bare), MAIN, 60))
    environment = {name: value for name, value in os.environ.items() if name != "GIT_DIR"}
    words = ["git", "-C", str(origin.bare), "for-each-ref", "--format=%(refname)"]
    listed = subprocess.run(words, env=environment, capture_output=True, check=True, text=True).stdout
    assert listed.strip() == f"refs/heads/{MAIN}"
