"""Repositories that want to do harm: what they hold is refused, or does nothing.

Each goes the way of the agent: fetched, listed, read, compiled in confinement.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from gitops.agent_world import GIT_ENVIRONMENT, git, policy

from microseg.agent_settings import AgentSettings
from microseg.confined.worker import ConfinedCompiler
from microseg.gitops import listing
from microseg.gitops.errors import GitError, RemoteError, TooManyFilesError
from microseg.gitops.fetching import Remote
from microseg.gitops.record import Candidate
from microseg.gitops.sources import RemoteSource
from microseg.reconcile.desired import Desired
from microseg.reconcile.errors import PolicyError

TODAY = date(2026, 3, 1)
GOOD = policy(5).encode()
SHOP = b"policies.d/shop.mseg"
FILE, EXECUTABLE, LINK, SUBMODULE = b"100644", b"100755", b"120000", b"160000"


@pytest.fixture(scope="module")
def compiler() -> Iterator[ConfinedCompiler]:
    with ConfinedCompiler() as made:
        yield made


class Hostile:
    """A bare repository whose commits are made file by file, and an agent's way to them."""

    def __init__(self, folder: Path, compiler: ConfinedCompiler) -> None:
        self.bare, self.marker = folder / "origin.git", folder / "marker"
        self._compiler = compiler
        git(folder, "init", "--quiet", "--bare", "--initial-branch=main", str(self.bare))
        settings = AgentSettings(remote=str(self.bare), branch="main")
        self.source = RemoteSource(settings, folder / "state")
        self.harm = f"touch {self.marker}"

    def commit(self, files: Iterable[tuple[bytes, bytes, bytes]], subject: bytes = b"a policy") -> None:
        """Make main a commit of nothing but these: path, mode and content."""

        def stream() -> Iterator[bytes]:
            yield b"commit refs/heads/main\ncommitter T <t@example.org> 1700000000 +0000\n"
            yield b"data %d\n%s\ndeleteall\n" % (len(subject), subject)
            for path, mode, content in files:
                quoted = b'"' + b"".join(b"\\%03o" % byte for byte in path) + b'"'
                if mode == SUBMODULE:
                    yield b"M %s %s %s\n" % (mode, content, quoted)
                else:
                    yield b"M %s inline %s\ndata %d\n%s\n" % (mode, quoted, len(content), content)
            yield b"done\n"

        env = os.environ | GIT_ENVIRONMENT
        words = ["git", "fast-import", "--quiet", "--force", "--done"]
        with subprocess.Popen(words, cwd=self.bare, env=env, stdin=subprocess.PIPE) as importing:
            assert importing.stdin
            for part in stream():
                importing.stdin.write(part)
            importing.stdin.close()
        assert importing.returncode == 0

    def candidate(self) -> Candidate:
        look = self.source.look(None)
        if look.problem:
            raise RemoteError(look.problem[0])
        assert look.candidate
        return look.candidate

    def compile(self) -> Desired:
        with self.source.open(self.candidate()) as tree:
            return self._compiler(tree, None, TODAY, None)

    def says(self) -> str:
        """Return all that is said about a policy that is wrong."""
        with pytest.raises(PolicyError) as caught:
            self.compile()
        error = caught.value
        return "\n".join([*(each.message for each in error.diagnostics), *error.sources.values()])


@pytest.fixture
def hostile(tmp_path: Path, compiler: ConfinedCompiler) -> Hostile:
    return Hostile(tmp_path, compiler)


@pytest.mark.parametrize("target", [b"/etc/passwd", b"../../../../etc/passwd", b"../outside", b"shop.mseg"])
def test_links_lead_nowhere_but_inside(hostile: Hostile, target: bytes) -> None:
    files = [(SHOP, FILE, GOOD), (b"outside", FILE, b"root:x:0:0"), (b"policies.d/link", LINK, target)]
    hostile.commit([*files, (b"policies.d/more.mseg", FILE, b'group g = file("link")\n')])
    said = hostile.says()
    assert "root:x" not in said
    assert target == b"shop.mseg" or "a symbolic link that leads outside the policy directory" in said
    hostile.commit([*files, (b"policies.d/more.mseg", LINK, target)])
    assert "root:x" not in hostile.says()


def test_attributes_run_no_filter_and_change_no_byte(
    hostile: Hostile, monkeypatch: pytest.MonkeyPatch
) -> None:
    harmful = ("filter.evil.smudge", "filter.evil.clean", "filter.evil.process", "diff.evil.textconv")
    for number, key in enumerate(harmful):
        monkeypatch.setenv(f"GIT_CONFIG_KEY_{number}", key)
        monkeypatch.setenv(f"GIT_CONFIG_VALUE_{number}", hostile.harm)
    monkeypatch.setenv("GIT_CONFIG_COUNT", str(len(harmful)))
    attributes = b"* filter=evil diff=evil text eol=crlf ident export-subst working-tree-encoding=UTF-16"
    text = GOOD + b"# $Id$ $Format:%H$\n"
    everywhere = [(path, FILE, attributes) for path in (b".gitattributes", b"policies.d/.gitattributes")]
    hostile.commit([(SHOP, FILE, text), *everywhere])
    with hostile.source.open(hostile.candidate()) as tree:
        assert tree.read("shop.mseg") == text
    hostile.compile()
    assert not hostile.marker.exists()


def test_a_huge_file_is_refused_before_it_is_read(hostile: Hostile, monkeypatch: pytest.MonkeyPatch) -> None:
    hostile.commit([(SHOP, FILE, GOOD), (b"policies.d/huge.mseg", FILE, bytes(64 << 20))])
    from git.db import GitCmdObjectDB  # noqa: PLC0415  only here

    sizes: list[int] = []
    stream = GitCmdObjectDB.stream

    def watched(database: GitCmdObjectDB, name: bytes) -> Any:
        sizes.append(database.info(name).size)
        return stream(database, name)

    monkeypatch.setattr(GitCmdObjectDB, "stream", watched)
    assert "larger than 32 MiB" in hostile.says()
    assert sizes
    assert max(sizes) < 1 << 20


def test_a_hundred_thousand_policies_are_refused(hostile: Hostile) -> None:
    hostile.commit((b"policies.d/%d/%d.mseg" % (n % 100, n), FILE, b"") for n in range(100_000))
    with pytest.raises(TooManyFilesError, match="more than 50000 policy files"):
        hostile.compile()


def test_a_hundred_thousand_other_files_are_harmless(hostile: Hostile) -> None:
    others = ((b"elsewhere/%d/%d" % (n % 100, n), FILE, b"") for n in range(100_000))
    hostile.commit([(SHOP, FILE, GOOD), *others])
    assert hostile.compile().contents.entry_count()


def test_a_tree_of_trees_without_end_is_refused(hostile: Hostile) -> None:
    """Ten levels of ten times the same tree: a few hundred bytes that list ten thousand million files."""

    def made(*words: str, given: bytes) -> bytes:
        done = subprocess.run(["git", *words], cwd=hostile.bare, input=given, capture_output=True, check=True)
        return done.stdout.strip()

    blob = made("hash-object", "-w", "--stdin", given=GOOD)
    tree = made("mktree", given=b"".join(b"100644 blob %s\t%d.mseg\n" % (blob, n) for n in range(10)))
    for _ in range(9):
        tree = made("mktree", given=b"".join(b"040000 tree %s\t%d\n" % (tree, n) for n in range(10)))
    top = made("mktree", given=b"040000 tree %s\tpolicies.d\n" % tree)
    who = ("-c", "user.name=T", "-c", "user.email=t@example.org")
    commit = made(*who, "commit-tree", top.decode(), given=b"x")
    git(hostile.bare, "update-ref", "refs/heads/main", commit.decode())
    with pytest.raises(TooManyFilesError):
        hostile.compile()


@pytest.mark.parametrize(
    "name",
    [
        b"new\nline",
        b"not utf-8 \xff\xfe",
        b"tab\there",
        b"-C",
        b"--upload-pack=x",
        b"quote\"'$(x)`x`",
        b"\x1b[2J",
    ],
)
def test_odd_names_are_names(hostile: Hostile, name: bytes) -> None:
    hostile.commit([(SHOP, FILE, GOOD), (b"policies.d/%s.mseg" % name, FILE, b"polcy x {}\n")])
    with pytest.raises(PolicyError) as caught:
        hostile.compile()
    assert {os.fsencode(each.span.path) for each in caught.value.diagnostics} == {name + b".mseg"}
    hostile.commit([(SHOP, FILE, GOOD), (b"policies.d/%s.mseg" % name, FILE, b"# nothing\n")])
    assert hostile.compile().contents.entry_count()


@pytest.mark.parametrize(
    "url",
    [
        b"--upload-pack=%s",
        b"-u%s",
        b"ext::sh -c '%s'",
        b"ssh://-oProxyCommand=%s/x",
        b"file:///nowhere\n\t%s",
    ],
)
def test_submodules_are_never_asked_for(hostile: Hostile, url: bytes) -> None:
    modules = b'[submodule "m"]\n\tpath = policies.d/m\n\turl = ' + url % hostile.harm.encode() + b"\n"
    hostile.commit(
        [(SHOP, FILE, GOOD), (b".gitmodules", FILE, modules), (b"policies.d/m", SUBMODULE, b"1" * 40),
         (b"policies.d/m.mseg", SUBMODULE, b"2" * 40)]
    )  # fmt: skip
    with suppress(RemoteError):  # git itself finds fault with some of these addresses
        hostile.compile()
    assert not hostile.marker.exists()


def test_hooks_and_configuration_of_a_repository_do_nothing(hostile: Hostile) -> None:
    hostile.commit([(SHOP, FILE, GOOD)])
    for name in ("post-checkout", "post-merge", "reference-transaction", "pre-receive", "fsmonitor-watchman"):
        hook = hostile.bare / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\n{hostile.harm}\n")
        hook.chmod(0o755)
    for key in ("uploadpack.packObjectsHook", "core.fsmonitor", "core.sshCommand", "core.gitProxy",
                "core.pager", "core.editor", "credential.helper", "gpg.program"):  # fmt: skip
        git(hostile.bare, "config", key, hostile.harm)
    assert hostile.compile().contents.entry_count()
    assert not hostile.marker.exists()
    assert not list((hostile.bare.parent / "state").rglob("hooks/*"))


@pytest.mark.parametrize(
    "path", [b".git/hooks/post-checkout", b"policies.d/.git/config", b".GIT/config", b"a/../b"]
)
def test_files_of_gits_own_are_not_fetched_or_not_looked_at(hostile: Hostile, path: bytes) -> None:
    harm = f"#!/bin/sh\n{hostile.harm}\n".encode()
    try:
        hostile.commit([(SHOP, FILE, GOOD), (path, EXECUTABLE, harm)])
    except AssertionError:
        return  # git refuses to make it; so nobody can push it
    with pytest.raises(RemoteError, match="can't be fetched"):
        hostile.compile()
    assert not hostile.marker.exists()


@pytest.mark.parametrize("name", ["--upload-pack=x", "-x", "a b", "a..b", "a:b", "x@{1}", "a\nb", ""])
@pytest.mark.parametrize("field", ["url", "name"])
def test_what_is_configured_never_becomes_an_option(field: str, name: str) -> None:
    good = {"url": "/srv/shop.git", "name": "main", "timeout_s": 1.0}
    if field == "url" and not name.startswith("-") and name:
        return  # any other address is git's to judge, behind the end of the options
    with pytest.raises(GitError):
        Remote(**(good | {field: name}))  # type: ignore[arg-type]  # one of the three by its name


def test_a_subject_cannot_steer_a_terminal(hostile: Hostile) -> None:
    hostile.commit([(SHOP, FILE, GOOD)], subject=b"\x1b]0;title\x07 " + b"x" * 100_000)
    revision = hostile.candidate().revision
    assert revision is not None
    assert revision.subject.isprintable()
    assert len(revision.subject) < 2000


def test_a_listing_that_is_cut_off_in_the_middle_is_read_whole(tmp_path: Path) -> None:
    lines = b"".join(b"100644 blob %040d\t%s\0" % (n, b"p" * 300 + b"%d" % n) for n in range(1000))
    file = tmp_path / "listing"
    file.write_bytes(lines)
    with file.open("rb") as stream:
        entries = listing.read_listing(stream)
    assert len(entries) == 1000
    assert entries["p" * 300 + "7"].name == "7".zfill(40)
    file.write_bytes(b"100644 blob x\t" + b"p" * 100_000)
    with file.open("rb") as stream, pytest.raises(TooManyFilesError):
        listing.read_listing(stream)
