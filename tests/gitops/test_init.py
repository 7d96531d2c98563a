"""A new repository of policies."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from gitops.scratch import GOOD, PROGRAM, WRONG, Clone, environment

from microseg.gitops.scaffold import FILES, default_interface

TOLD = re.compile(r"^    (.+)$", re.MULTILINE)


def typed(folder: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    env = environment(folder) | {"GIT_CEILING_DIRECTORIES": str(folder)}
    return subprocess.run([PROGRAM, *words], cwd=folder, env=env, capture_output=True, check=False, text=True)


def test_what_is_made_is_green_and_its_hooks_bite(tmp_path: Path) -> None:
    done = typed(tmp_path, "init", "shop")
    assert done.returncode == 0, done.stderr
    shop = Clone.__new__(Clone)
    shop.folder, shop.env = tmp_path / "shop", environment(tmp_path)
    assert all((shop.folder / name).is_file() for name in FILES)
    for words in (["lint", "--deny-warnings"], ["fmt", "--check"], ["test"]):
        checked = shop.microseg(*words, "policies.d")
        assert checked.returncode == 0, checked.stdout
    assert shop.microseg("lint", "--config", "microseg.toml").returncode == 0
    assert shop.commit().returncode == 0
    assert shop.git("status", "--porcelain") == ""
    assert shop.git("branch", "--show-current") == "main"
    refused = shop.commit(WRONG)
    assert refused.returncode != 0
    assert "the policy of what is staged" in refused.stderr


def test_what_is_there_stays(tmp_path: Path) -> None:
    shop = Clone(tmp_path / "shop")
    shop.write(GOOD)
    shop.write("mine", "microseg.toml")
    hook = shop.folder / ".git/hooks/pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\n")
    (shop.folder / ".gitignore").symlink_to("elsewhere")
    done = shop.microseg("init", "--format", "json")
    assert done.returncode == 0, done.stderr
    fates = {Path(each["path"]).name: each["fate"] for each in json.loads(done.stdout)["made"]}
    kept = [name for name, fate in fates.items() if fate == "kept"]
    assert sorted(kept) == [".git", ".gitignore", "hooks", "microseg.toml"]
    assert "example.mseg" not in fates
    assert (shop.folder / "microseg.toml").read_text() == "mine"
    assert hook.read_text() == "#!/bin/sh\n"
    assert not (shop.folder / "elsewhere").exists()


def test_a_second_time_makes_nothing(tmp_path: Path) -> None:
    assert typed(tmp_path, "init").returncode == 0
    again = typed(tmp_path, "init")
    assert again.returncode == 0
    assert "made" not in again.stdout


def test_the_middle_of_another_repository_is_refused(tmp_path: Path) -> None:
    shop = Clone(tmp_path / "shop")
    done = shop.microseg("init", "inside")
    assert done.returncode == 1
    assert f"try: microseg init {shop.folder}" in done.stderr
    assert list((shop.folder / "inside").iterdir()) == []


def test_pre_commit_and_the_workflow_run_commands_there_are(tmp_path: Path) -> None:
    assert typed(tmp_path, "init").returncode == 0
    hooks = yaml.safe_load((tmp_path / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    steps = yaml.safe_load((tmp_path / ".github/workflows/policy.yml").read_text())["jobs"]["policy"]["steps"]
    lines = [hook["entry"] for hook in hooks] + [step["run"] for step in steps if "run" in step]
    commands = [line for line in lines if line.startswith("microseg ")]
    assert len(commands) == 7
    shop = Clone.__new__(Clone)
    shop.folder, shop.env = tmp_path, environment(tmp_path)
    shop.commit()
    for line in commands:
        done = shop.microseg(*line.replace('"origin/$GITHUB_BASE_REF"', "main").split()[1:])
        assert done.returncode == 0, f"{line}: {done.stdout} {done.stderr}"


def test_the_interface_that_is_named_is_that_of_the_default_route(tmp_path: Path) -> None:
    routes = tmp_path / "route"
    routes.write_text("Iface\tDestination\tGateway\nveth0\t0002000A\t00000000\nens3\t00000000\t0102000A\n")
    assert default_interface(routes) == "ens3"
    assert default_interface(tmp_path / "none") == ""


SETTING_UP = """\
set -e
ip link add uplink type veth peer far
ip address add 192.0.2.2/24 dev uplink
ip link set uplink up
ip route add default via 192.0.2.1
exec 2>&1
"""

FOLLOWING = r'& 2>log \& until grep -q "is in force" log; do sleep 0.2; done; kill %1; wait %1; cat log'
"""What is done about an agent, which ends only when it is told to."""


@pytest.mark.kernel
def test_what_is_told_works_literally(tmp_path: Path) -> None:
    """The commands it prints, as they stand, in a namespace with a default route."""
    pins = Path("/sys/fs/bpf") / f"microseg-init-{secrets.token_hex(4)}"
    env = environment(tmp_path) | {
        "PATH": f"{PROGRAM.parent}:{os.environ['PATH']}",
        "MICROSEG_STATE_DIR": str(tmp_path / "state"),
        "MICROSEG_RUN_DIR": str(tmp_path / "run"),
        "MICROSEG_PIN_DIR": str(pins),
        "GIT_CEILING_DIRECTORIES": str(tmp_path),
    }
    # What is told goes into a script; reading events ends by the interrupt that it speaks of.
    script = (
        SETTING_UP
        + "microseg init shop | tee told\n"
        + "sed -n 's/^    //p' told | sed 's/^microseg observe$/timeout --signal=INT 1 & || true/' >script\n"
        + "sed -i '/^microseg detach/i microseg status' script\n"
        + f"sed -i 's/^microseg agent.*/{FOLLOWING}/' script\n"
        + ". ./script\n"
    )
    try:
        done = subprocess.run(
            ["unshare", "--net", "bash", "-c", script],
            cwd=tmp_path, env=env, capture_output=True, check=False, text=True,
        )  # fmt: skip
    finally:
        shutil.rmtree(pins, ignore_errors=True)
    assert done.returncode == 0, done.stdout
    assert len(TOLD.findall(done.stdout)) >= 7
    assert "--interface uplink --audit" in done.stdout
    assert "Generation 1 is in force" in done.stdout
    assert "Generation 2 is in force" in done.stdout
    assert "(The first policy)" in done.stdout
    assert "the agent ends; enforcement goes on" in done.stdout
