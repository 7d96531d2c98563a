"""Hooks, as git runs them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from gitops.scratch import FAILING, GOOD, PROGRAM, WRONG, Clone


@pytest.fixture
def work(tmp_path: Path) -> Clone:
    return Clone(tmp_path / "work")


@pytest.fixture
def server(tmp_path: Path) -> Clone:
    bare = Clone(tmp_path / "server.git", bare=True)
    done = bare.microseg("hooks", "install")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"installed {bare.folder}/hooks/pre-receive\n"
    return bare


def test_a_server_refuses_a_wrong_policy_and_shows_the_pusher_why(work: Clone, server: Clone) -> None:
    work.commit(WRONG)
    done = work.push(server)
    assert done.returncode != 0
    assert "remote: error[MS202]" in done.stderr
    assert "shop.mseg:1:13" in done.stderr
    assert "the policy of main" in done.stderr
    assert "Traceback" not in done.stderr
    assert not server.head()

    work.commit(GOOD)
    done = work.push(server)
    assert done.returncode == 0, done.stderr
    assert "error" not in done.stderr
    assert server.head() == work.head()


def test_a_server_refuses_a_failing_test_and_keeps_what_it_had(work: Clone, server: Clone) -> None:
    work.commit(GOOD)
    assert work.push(server).returncode == 0
    stands = server.head()
    work.commit(FAILING)
    done = work.push(server, "HEAD:main", "HEAD:refs/heads/trial")
    assert done.returncode != 0
    assert 'test "the web reaches the database"' in done.stderr
    assert server.head() == stands
    assert not server.head("trial"), "git takes all of a push or nothing"


def test_a_server_reads_pushed_objects_from_the_quarantine(work: Clone, server: Clone) -> None:
    work.commit(WRONG)
    commit = work.head()
    assert work.push(server).returncode != 0
    assert server.run("git", "cat-file", "-e", commit).returncode != 0, "refused, so nothing came in"


def test_a_server_judges_the_head_and_not_what_led_to_it(work: Clone, server: Clone) -> None:
    work.commit(WRONG)
    work.commit(GOOD)
    assert work.push(server).returncode == 0


def test_other_branches_and_tags_pass_unasked(work: Clone, server: Clone) -> None:
    work.commit(WRONG)
    work.git("tag", "v1")
    assert work.push(server, "HEAD:refs/heads/trial", "v1").returncode == 0
    assert work.push(server, ":trial").returncode == 0


def test_the_guarded_branch_is_not_deleted(work: Clone, server: Clone) -> None:
    server.git("config", "receive.denyDeleteCurrent", "ignore")
    work.commit(GOOD)
    assert work.push(server).returncode == 0
    done = work.push(server, ":main")
    assert done.returncode != 0
    assert "main may not be deleted" in done.stderr
    assert server.head() == work.head()


@pytest.mark.parametrize("text", [None, "x"])
def test_a_server_refuses_a_head_without_policies(work: Clone, server: Clone, text: str | None) -> None:
    work.commit("read me", path="README")
    if text:
        work.commit(text, path="policies.d/notes.txt")
    done = work.push(server)
    assert done.returncode != 0
    assert "no policy file" in done.stderr or "has no directory policies.d" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_branch_and_the_folder_are_chosen(work: Clone, tmp_path: Path) -> None:
    server = Clone(tmp_path / "other.git", bare=True)
    options = ("--branch", "production", "--folder", "hosts/policies")
    assert server.microseg("hooks", "install", *options).returncode == 0
    work.commit(WRONG, path="hosts/policies/a.mseg")
    assert work.push(server).returncode == 0
    done = work.push(server, "HEAD:refs/heads/production")
    assert done.returncode != 0
    assert "a.mseg:1:13" in done.stderr


def test_a_commit_is_judged_by_what_is_staged(work: Clone) -> None:
    assert work.microseg("hooks", "install").returncode == 0
    work.write(WRONG)
    work.git("add", "--all")
    work.write(GOOD)  # repaired, but not staged
    done = work.run("git", "commit", "--message=no")
    assert done.returncode != 0
    assert "error[MS202]" in done.stderr
    assert work.commit().returncode == 0

    work.write(WRONG)  # broken, but not staged
    work.write("x", "README")
    work.git("add", "README")
    assert work.run("git", "commit", "--message=about something else").returncode == 0


def test_a_commit_by_a_linked_worktree_from_a_folder_in_it(work: Clone, tmp_path: Path) -> None:
    work.commit(GOOD)
    assert work.microseg("hooks", "install", within="policies.d").returncode == 0
    work.git("worktree", "add", "--quiet", str(tmp_path / "linked"))
    linked = Clone.__new__(Clone)
    linked.folder, linked.env = tmp_path / "linked", work.env
    linked.write(WRONG)
    linked.git("add", "--all")
    done = linked.run("git", "commit", "--message=no", within="policies.d")
    assert done.returncode != 0
    assert "error[MS202]" in done.stderr
    listed = linked.microseg("hooks", "list").stdout
    assert f"pre-commit   installed       {work.folder}/.git/hooks/pre-commit" in listed


def test_a_push_is_judged_before_it_leaves(work: Clone, tmp_path: Path) -> None:
    server = Clone(tmp_path / "plain.git", bare=True)
    assert work.microseg("hooks", "install", "pre-push").returncode == 0
    work.commit(WRONG)
    done = work.push(server)
    assert done.returncode != 0
    assert "error[MS202]" in done.stderr
    work.commit(GOOD)
    assert work.push(server).returncode == 0
    assert work.push(server, ":main").returncode != 128, "a deletion is git's matter"


@pytest.mark.parametrize("make", ["file", "link"])
def test_the_hook_of_somebody_else_stays(work: Clone, make: str) -> None:
    path = work.folder / ".git/hooks/pre-push"
    path.parent.mkdir(exist_ok=True)
    if make == "file":
        path.write_text("#!/bin/sh\nexit 0\n")
    else:
        path.symlink_to("nowhere")
    done = work.microseg("hooks", "install")
    assert done.returncode == 1
    assert "is not ours; nothing was written" in done.stderr
    assert f'{PROGRAM} hooks run --folder policies.d pre-push "$@" || exit 1' in done.stderr
    assert not (work.folder / ".git/hooks/pre-commit").exists()
    assert work.microseg("hooks", "uninstall").stdout.startswith("Nothing changes")
    assert os.path.lexists(path)


def test_a_hook_of_ours_that_somebody_changed_is_theirs(work: Clone) -> None:
    assert work.microseg("hooks", "install").returncode == 0
    path = work.folder / ".git/hooks/pre-commit"
    path.write_text(path.read_text() + "echo mine\n")
    assert work.microseg("hooks", "install").returncode == 1
    assert "echo mine" in path.read_text()


def test_installing_again_changes_what_differs_only(work: Clone) -> None:
    assert work.microseg("hooks", "install").returncode == 0
    assert work.microseg("hooks", "install").stdout.startswith("Nothing changes")
    assert work.microseg("hooks", "install", "--folder", ".").stdout.count("installed") == 2
    done = work.microseg("hooks", "uninstall", "--format", "json")
    assert [hook["name"] for hook in json.loads(done.stdout)["hooks"]] == ["pre-commit", "pre-push"]
    assert work.microseg("hooks", "list").stdout.count("not installed") == 3


def test_where_git_looks_for_hooks_is_where_they_go(work: Clone) -> None:
    work.git("config", "core.hooksPath", "tools/hooks")
    done = work.microseg("hooks", "install", "pre-commit")
    assert done.stdout == f"installed {work.folder}/tools/hooks/pre-commit\n"
    assert "error[MS202]" in work.commit(WRONG).stderr


def test_the_hooks_of_all_repositories_are_left_alone(work: Clone) -> None:
    work.git("config", "--global", "core.hooksPath", str(work.folder.parent / "everybody"))
    done = work.microseg("hooks", "install")
    assert done.returncode == 1
    assert "core.hooksPath is set in the global configuration" in done.stderr
    assert not (work.folder.parent / "everybody").exists()


@pytest.mark.parametrize("folder", ["../up", "/etc", "a/../.."])
def test_a_folder_outside_the_repository_is_refused(work: Clone, folder: str) -> None:
    done = work.microseg("hooks", "install", "--folder", folder)
    assert done.returncode == 1
    assert "outside" in done.stderr
    assert not (work.folder / ".git/hooks/pre-commit").exists()


def test_outside_git_it_says_what_to_type(tmp_path: Path) -> None:
    lonely = Clone(tmp_path / "a")
    (tmp_path / "b").mkdir()
    lonely.env["GIT_CEILING_DIRECTORIES"] = str(tmp_path)
    done = lonely.microseg("hooks", "list", "-C", tmp_path / "b")
    assert done.returncode == 1
    assert f"{tmp_path}/b is not in a git repository" in done.stderr
    assert "git init" in done.stderr
