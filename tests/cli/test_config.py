from __future__ import annotations

import re
from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tree import ROOT

from microseg.agent_settings import AgentSettings, Drift, Endpoint, Signed
from microseg.analysis.taste import OpenSide, Options
from microseg.compiler.limits import SIZING_KEYS
from microseg.config import SETTINGS, SIZING_TABLE, ConfigError, Settings, load
from microseg.output.severities import Severities
from microseg.reconcile import guards
from microseg.reconcile.dataplane import Hook, Sizing
from microseg.reconcile.safeguards import Limits


def written(folder: Path, text: str) -> Path:
    path = folder / "microseg.toml"
    path.write_text(text)
    return path


def test_the_defaults_are_the_documented_paths(tmp_path: Path) -> None:
    settings = load({}, {}, written(tmp_path, ""))
    assert settings == Settings()
    assert [
        str(settings.policy_dir),
        str(settings.state_dir),
        str(settings.run_dir),
        str(settings.pin_dir),
    ] == [
        "/etc/microseg/policies.d",
        "/var/lib/microseg",
        "/run/microseg",
        "/sys/fs/bpf/microseg",
    ]


@pytest.mark.parametrize(
    ("name", "said", "expected"),
    [
        ("policy_dir", (Path("/o"), "/v", '"/f"'), (Path("/o"), Path("/v"), Path("/f"))),
        ("state_dir", (Path("/o"), "/v", '"/f"'), (Path("/o"), Path("/v"), Path("/f"))),
        ("run_dir", (Path("/o"), "/v", '"/f"'), (Path("/o"), Path("/v"), Path("/f"))),
        ("pin_dir", (Path("/o"), "/v", '"/f"'), (Path("/o"), Path("/v"), Path("/f"))),
        ("interfaces", (("o",), "v w", '["f", "f"]'), (("o",), ("v", "w"), ("f",))),
        ("hook", ("tcx", "clsact", '"xdp"'), (Hook.TCX, Hook.CLSACT, Hook.XDP)),
        ("debug_program", (False, "1", "true"), (False, True, True)),
        ("lock_timeout_s", (1.0, "2.5", "3"), (1.0, 2.5, 3.0)),
        ("adopt_s", (1.0, "2.5", "3"), (1.0, 2.5, 3.0)),
    ],
)
def test_option_beats_variable_beats_file_beats_default(
    tmp_path: Path, name: str, said: tuple[Any, str, str], expected: tuple[Any, Any, Any]
) -> None:
    option, variable, line = said
    path = written(tmp_path, f"{name} = {line}\n")
    environment = {f"MICROSEG_{name.upper()}": variable}
    assert getattr(load({name: option}, environment, path), name) == expected[0]
    assert getattr(load({name: None}, environment, path), name) == expected[1]
    assert getattr(load({}, {}, path), name) == expected[2]
    assert getattr(load({}, {}, written(tmp_path, "")), name) == getattr(Settings(), name)


def test_all_settings_are_tried_above() -> None:
    tables = {"sizing", "limits", "data_plane", "lint", "agent"}
    assert {setting.name for setting in SETTINGS} | tables == {each.name for each in fields(Settings)}


def test_paths_in_the_file_start_where_the_file_is_and_others_do_not(tmp_path: Path) -> None:
    path = written(tmp_path, 'policy_dir = "policies.d"\n')
    assert load({}, {}, path).policy_dir == tmp_path / "policies.d"
    assert load({}, {"MICROSEG_POLICY_DIR": "policies.d"}, path).policy_dir == Path("policies.d")


def test_an_empty_variable_says_nothing(tmp_path: Path) -> None:
    assert load({}, {"MICROSEG_HOOK": ""}, written(tmp_path, 'hook = "tcx"\n')).hook is Hook.TCX


def test_the_file_by_variable(tmp_path: Path) -> None:
    path = written(tmp_path, "lock_timeout_s = 7\n")
    assert load({}, {"MICROSEG_CONFIG": str(path)}).lock_timeout_s == 7


def test_lint_options(tmp_path: Path) -> None:
    text = 'too_open = ["source"]\nrepeated_default = true\nexpiry_notice_days = 30\nMS306 = "off"'
    taste = load({}, {}, written(tmp_path, f"[lint]\n{text}\n")).lint
    assert taste.options == Options(
        frozenset({OpenSide.SOURCE}), repeated_default=True, notice=timedelta(days=30)
    )
    assert taste.severities == Severities.read({"MS306": "off"})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('too_open = ["north"]', "not a list of source, destination, service"),
        ('too_open = "source"', "not a list"),
        ("repeated_default = 1", "neither true nor false"),
        ("expiry_notice_days = -1", "not a number of days"),
        ("expiry_notice_days = true", "not a number of days"),
        ('expiry_days = "off"', "no diagnostic expiry_days"),
    ],
)
def test_lint_options_that_can_not_be_used(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load({}, {}, written(tmp_path, f"[lint]\n{line}\n"))


def test_limits_of_the_guards(tmp_path: Path) -> None:
    found = load({}, {}, written(tmp_path, "[guards]\nsessions_percent = 5\n")).limits
    assert found == Limits(entries_percent=50, sessions_percent=5)


def test_map_sizes(tmp_path: Path) -> None:
    assert load({}, {}, written(tmp_path, "[maps]\nrules = 5\n")).sizing == Sizing(rules=5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nonsense", "is not TOML"),
        ("hook = 'cheese'", "not one of tcx, clsact, xdp"),
        ("hook = 3", "not one of"),
        ("interfaces = 'eth0'", "not a list of interface names"),
        ("interfaces = ['']", "not a list of interface names"),
        ("lock_timeout_s = -1", "not a number of seconds"),
        ("lock_timeout_s = true", "not a number of seconds"),
        ("debug_program = 1", "neither true nor false"),
        ("policy_dir = ''", "not a path"),
        ("policy_dir = 7", "not a path"),
        ("maps = 3", "maps is not a table"),
        ("[guards]\nentries_percent = 101", "not a percentage"),
        ("[guards]\nentries_percent = true", "not a percentage"),
        ("[guards]\nentries = 5", "unknown setting entries"),
        ("guards = 5", "guards is not a table"),
        ("[maps]\nrules = 0", "not a number of entries"),
        ("[maps]\nrules = 'many'", "not a number of entries"),
        ("[maps]\nrule = 5", "unknown setting rule"),
        ("polcy_dir = '/x'", "unknown setting polcy_dir"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_origin(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError, match=message) as caught:
        load({}, {}, path)
    assert str(path) in caught.value.message


def test_a_variable_is_named_when_it_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="MICROSEG_LOCK_TIMEOUT_S: 'soon' is not a number of seconds"):
        load({}, {"MICROSEG_LOCK_TIMEOUT_S": "soon"}, written(tmp_path, ""))


def test_a_file_that_is_named_has_to_be_there(tmp_path: Path) -> None:
    for environment, path in (({}, tmp_path / "no"), ({"MICROSEG_CONFIG": str(tmp_path / "no")}, None)):
        with pytest.raises(ConfigError, match="no such file"):
            load({}, environment, path)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="directory"):
        load({}, {}, tmp_path)


def test_messages_about_map_sizes_name_settings_that_exist() -> None:
    assert guards.SIZING_KEYS == SIZING_KEYS
    assert set(SIZING_KEYS.values()) <= {each.name for each in fields(Sizing)}


def test_every_setting_is_documented() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()
    for setting in SETTINGS:
        assert f"`{setting.name}`" in page
        assert f"`{setting.variable}`" in page
        assert f"`{setting.option}`" in page
    assert f"[{SIZING_TABLE}]" in page
    for each in fields(Sizing):
        assert re.search(rf"`{each.name}` \| {each.default:,}", page), each.name


def test_the_agent_has_a_table_of_its_own(tmp_path: Path) -> None:
    text = """
    [agent]
    remote = "ssh://git@example.org/policies.git"
    branch = "main"
    interval_s = 5
    drift = "report"
    signed = "tag"
    confirm_within_s = 30
    probes = ["10.0.0.1:22", "[2001:db8::1]:443"]
    allowed_signers = "signers"
    """
    agent = load({}, {}, written(tmp_path, text)).agent
    assert (agent.remote, agent.branch) == ("ssh://git@example.org/policies.git", "main")
    assert (agent.interval_s, agent.drift, agent.signed) == (5.0, Drift.REPORT, Signed.TAG)
    assert agent.probes == (Endpoint("10.0.0.1", 22), Endpoint("2001:db8::1", 443))
    assert agent.allowed_signers == tmp_path / "signers"
    assert load({}, {}, written(tmp_path, "")).agent == AgentSettings()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("interval = 5", "did you mean interval_s?"),
        ("interval_s = 0", "not a pause"),
        ("interval_s = true", "not a number of seconds"),
        ('branch = "--upload-pack=touch /tmp/x"', "starts like an option"),
        ('remote = "-oProxyCommand=x"', "starts like an option"),
        ('remote = "a\\nb"', "not a line of text"),
        ('directory = "../etc"', "not a directory inside"),
        ('directory = "/etc"', "not a directory inside"),
        ('drift = "ignore"', "not one of heal, report, off"),
        ('probes = ["10.0.0.1"]', "not ADDRESS:PORT"),
        ("confirm_within_s = 30", "needs probes"),
        ("confirm_within_s = 0.5", "not between a second and a day"),
    ],
)
def test_what_can_not_be_an_agent_s_setting_is_refused(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)) as caught:
        load({}, {}, written(tmp_path, f"[agent]\n{line}\n"))
    assert "[agent]" in str(caught.value)


def test_every_setting_of_the_agent_is_documented() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()
    assert [each.name for each in fields(AgentSettings) if f"`{each.name}`" not in page] == []
