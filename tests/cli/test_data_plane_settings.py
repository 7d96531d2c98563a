"""The table [data_plane] of microseg.toml: what it may say, and what is said about everything else."""

from __future__ import annotations

from pathlib import Path

import pytest
from tree import ROOT

from microseg.abi_settings import DEFAULT_IDLE_S, DEFAULT_UNASKED, Idle, Option, Settings, Unasked
from microseg.config import ConfigError, load
from microseg.data_plane_settings import read_data_plane_settings

PAGE = ROOT / "docs" / "configuration.md"


def loaded(folder: Path, text: str) -> Settings:
    path = folder / "microseg.toml"
    path.write_text(text)
    return load({}, {}, path).data_plane


def test_all_that_can_be_set(tmp_path: Path) -> None:
    settings = loaded(
        tmp_path,
        """
        [data_plane]
        events_per_s = 50
        answers_per_s = 0
        judge_icmp_errors = true
        ethertypes = [0x88cc, 4, 0x88cc]
        [data_plane.unasked]
        multicast = true
        dhcp_client = false
        [data_plane.idle_s]
        tcp_steady = 432_000
        """,
    )
    assert settings == Settings(
        events_per_s=50,
        answers_per_s=0,
        options=Option.JUDGE_ICMP_ERRORS,
        ethertypes=(0x88CC, 4),
        unasked=(DEFAULT_UNASKED | Unasked.MULTICAST) & ~Unasked.DHCP_CLIENT,
        idle_s=DEFAULT_IDLE_S | {Idle.TCP_STEADY: 432_000},
    )


def test_without_the_table_everything_is_as_documented(tmp_path: Path) -> None:
    assert loaded(tmp_path, "") == Settings()


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("event_per_s = 1", "unknown setting event_per_s; did you mean events_per_s?"),
        ("events_per_s = -1", "events_per_s: -1 is not a whole number, 0 .. 1,000,000"),
        ("answers_per_s = true", "answers_per_s: True is not a whole number"),
        ("judge_icmp_errors = 1", "judge_icmp_errors: 1 is neither true nor false"),
        ("ethertypes = 0x88cc", "ethertypes: 35020 is not a list of numbers"),
        ("ethertypes = [1, 2, 3, 4, 5, 6, 7, 8, 9]", "ethertypes: 9 are given, 8 fit"),
        ("ethertypes = [0x05ff]", "ethertypes: 1535 is none"),
        ('ethertypes = ["lldp"]', "ethertypes: 'lldp' is none"),
        ("ethertypes = [0x0800]", "0x0800 is IPv4, which are always judged"),
        ("ethertypes = [0x0806]", "0x0806 is ARP, which unasked.arp is about"),
        ("unasked = ['arp']", "unasked is not a table: write [data_plane.unasked]"),
        ("unasked.arps = true", "unasked: unknown setting arps; did you mean arp?"),
        ("unasked.arp = 'yes'", "unasked.arp: 'yes' is neither true nor false"),
        ("idle_s.tcp = 5", "idle_s: unknown setting tcp; "),
        ("idle_s.icmp = 0", "idle_s.icmp: 0 is not a whole number, 1 .. 2,592,000"),
    ],
)
def test_everything_else_is_refused_with_its_place(tmp_path: Path, lines: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, f"[data_plane]\n{lines}\n")
    assert "microseg.toml: [data_plane] " in caught.value.message
    assert expected in caught.value.message


def test_it_has_to_be_a_table(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="data_plane is not a table"):
        loaded(tmp_path, "data_plane = 5")


def test_the_longest_timeout_fits_the_kernel_at_its_fastest_clock() -> None:
    settings = read_data_plane_settings({"idle_s": {"other": 30 * 86_400}})
    in_kernel = Settings(hz=1000, idle_s=settings.idle_s).to_bytes()
    assert Settings.from_bytes(in_kernel).idle_s == settings.idle_s


@pytest.mark.parametrize("name", [str(one.name).lower() for one in (*Unasked, *Idle)])
def test_the_page_has_every_name(name: str) -> None:
    assert f"`{name}`" in PAGE.read_text()
