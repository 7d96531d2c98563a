"""Only what an allowed signer has signed comes into force."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from gitops.agent_world import GIT_ENVIRONMENT, World, git, policy
from reconcile.fake import FakeDataPlane

from microseg.agent_settings import Signed

SIGNER = "tester@example.org"


@pytest.fixture(autouse=True)
def plain_git(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in GIT_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """An agent that has applied policy 1, and takes only what `good` has signed from now on."""
    made = World(tmp_path, FakeDataPlane())
    keys = {}
    for name in ("good", "other"):
        key = tmp_path / name
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(key)]
        subprocess.run(words, check=True)
        keys[name] = key.with_suffix(".pub").read_text()
    (tmp_path / "allowed").write_text(f"{SIGNER} {keys['good']}")
    git(made.clone.root, "config", "gpg.format", "ssh")
    made.clone.push(policy(1), "the first")
    made.look()
    made.set(signed=Signed.COMMIT, allowed_signers=tmp_path / "allowed")
    return made


def sign_with(world: World, name: str) -> None:
    git(world.clone.root, "config", "user.signingKey", str(world.folder / name))


def refused(world: World, said: str) -> None:
    world.look()
    assert world.enforced() == world.digest(policy(1))
    assert world.agent.record.quarantine
    assert said in world.agent.record.quarantine.why


def test_a_commit_of_an_allowed_signer_is_applied(world: World) -> None:
    sign_with(world, "good")
    world.clone.push(policy(2), "signed", "--gpg-sign")
    world.look()
    assert world.enforced() == world.digest(policy(2))


def test_an_unsigned_commit_is_refused_and_a_signed_one_heals(world: World) -> None:
    world.clone.push(policy(2))
    refused(world, "carries no good signature of an allowed signer")
    sign_with(world, "good")
    world.clone.push(policy(3), "signed", "--gpg-sign")
    world.look()
    assert world.enforced() == world.digest(policy(3))


def test_a_commit_of_somebody_else_is_refused(world: World) -> None:
    sign_with(world, "other")
    world.clone.push(policy(2), "signed", "--gpg-sign")
    refused(world, "carries no good signature of an allowed signer")


def test_a_commit_altered_after_it_was_signed_is_refused(world: World) -> None:
    sign_with(world, "good")
    commit = world.clone.commit(policy(2), "signed", "--gpg-sign")
    altered = git(world.clone.root, "cat-file", "commit", commit).replace("signed", "forged")
    done = subprocess.run(
        ["git", "hash-object", "-t", "commit", "-w", "--stdin"],
        cwd=world.clone.root, input=altered + "\n", capture_output=True, check=True, text=True,
    )  # fmt: skip
    git(world.clone.root, "push", "--quiet", "--force", "origin", f"{done.stdout.strip()}:main")
    refused(world, "carries no good signature of an allowed signer")


def tag(world: World, name: str, *words: str) -> None:
    git(world.clone.root, "tag", "--force", *words, name)
    git(world.clone.root, "push", "--quiet", "--force", "origin", f"refs/tags/{name}")


def test_only_a_signed_tag_of_that_name_is_followed(world: World) -> None:
    sign_with(world, "good")
    world.clone.push(policy(1))
    tag(world, "prod", "--annotate", "--message=no signature")
    world.set(signed=Signed.TAG, branch="prod")
    refused(world, "carries no good signature of an allowed signer")
    world.clone.push(policy(2))
    tag(world, "prod")
    refused(world, "is no signed tag")
    world.clone.push(policy(3))
    tag(world, "prod", "--sign", "--message=three")
    world.look()
    assert world.enforced() == world.digest(policy(3))


def test_an_old_tag_can_not_be_given_out_under_another_name(world: World) -> None:
    sign_with(world, "good")
    world.clone.push(policy(2))
    tag(world, "old", "--sign", "--message=old")
    git(world.clone.root, "push", "--quiet", "origin", "refs/tags/old:refs/tags/prod")
    world.set(signed=Signed.TAG, branch="prod")
    refused(world, "was made as old")


def test_gpg_signatures_are_those_of_the_keyring(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    home = world.folder / "gnupg"
    home.mkdir(mode=0o700)
    monkeypatch.setenv("GNUPGHOME", str(home))
    words = [
        "gpg",
        "--batch",
        "--quiet",
        "--passphrase",
        "",
        "--quick-generate-key",
        SIGNER,
        "ed25519",
        "sign",
    ]
    subprocess.run(words, check=True, capture_output=True)
    git(world.clone.root, "config", "gpg.format", "openpgp")
    git(world.clone.root, "config", "user.signingKey", SIGNER)
    world.clone.push(policy(2), "signed", "--gpg-sign")
    try:
        world.look()
        assert world.enforced() == world.digest(policy(2))
        empty = world.folder / "empty"
        empty.mkdir(mode=0o700)
        world.clone.push(policy(3), "signed", "--gpg-sign")
        monkeypatch.setenv("GNUPGHOME", str(empty))
        world.look()
        assert world.enforced() == world.digest(policy(2))
    finally:
        for each in ("gnupg", "empty"):
            environment = os.environ | {"GNUPGHOME": str(world.folder / each)}
            subprocess.run(["gpgconf", "--kill", "all"], env=environment, check=False)
