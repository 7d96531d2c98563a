from __future__ import annotations

import subprocess
from ipaddress import ip_address
from pathlib import Path

import pytest

from microseg.agent_settings import AgentSettings
from microseg.cli import lifelines
from microseg.config import Settings
from microseg.kernel import this_host
from microseg.policy.addresses import AddressSet
from microseg.policy.packet import Packet


@pytest.fixture(autouse=True)
def host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(this_host, "addresses", lambda: AddressSet.of("127.0.0.1", "10.9.9.9"))
    monkeypatch.setenv("SSH_CONNECTION", "10.1.1.1 51234 10.9.9.9 22")


def repository(folder: Path, url: str) -> Path:
    subprocess.run(["git", "init", "--quiet", folder], check=True)
    if url:
        subprocess.run(["git", "-C", folder, "remote", "add", "origin", url], check=True)
    return folder


def test_session_and_remote_are_kept(tmp_path: Path) -> None:
    kept = lifelines.of(Settings(policy_dir=repository(tmp_path, "ssh://git@127.0.0.1:2222/policies"))).kept
    local = ip_address("127.0.0.1")
    assert [(one.name, one.packet) for one in kept] == [
        (
            "the connection of this session",
            Packet(ip_address("10.1.1.1"), ip_address("10.9.9.9"), 6, 22, 51234),
        ),
        ("the policy's remote 127.0.0.1", Packet(local, local, 6, 2222, 49152)),
    ]


@pytest.mark.parametrize("url", ["", "/srv/policies"])
def test_a_policy_without_a_remote_far_away(tmp_path: Path, url: str) -> None:
    assert len(lifelines.of(Settings(policy_dir=repository(tmp_path, url))).kept) == 1
    assert len(lifelines.of(Settings(policy_dir=tmp_path / "nowhere")).kept) == 1


def test_a_name_that_is_none_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lifelines, "_resolve", lambda *_: [])
    settings = Settings(policy_dir=tmp_path, agent=AgentSettings(remote="https://git.example.org/x"))
    assert len(lifelines.of(settings).kept) == 1
    assert (
        "whether git.example.org, the policy's remote, stays reachable was not checked"
        in capsys.readouterr().err
    )
