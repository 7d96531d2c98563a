"""Settings as the kernel has them: sizes, byte order, and the way there and back."""

from __future__ import annotations

from pathlib import Path

import pytest

from microseg.abi_settings import (
    DEFAULT_IDLE_S,
    DEFAULT_UNASKED,
    ETHERTYPE_SLOTS,
    IDLE_SLOTS,
    SETTINGS_SIZE,
    Idle,
    Option,
    Settings,
    Unasked,
)

PAGE = Path(__file__).parents[2] / "docs" / "data-plane.md"


def test_there_and_back() -> None:
    settings = Settings(
        adopt_until_s=77,
        events_per_s=5,
        hz=1000,
        answers_per_s=6,
        unasked=Unasked.ARP | Unasked.IGMP,
        options=Option.JUDGE_ICMP_ERRORS,
        ethertypes=(0x88CC, 4),
        idle_s=DEFAULT_IDLE_S | {Idle.ICMP: 3},
    )
    assert Settings.from_bytes(settings.to_bytes()) == settings
    assert len(settings.to_bytes()) == SETTINGS_SIZE


def test_ethertypes_are_in_network_order() -> None:
    assert b"\x88\xcc\x00\x04" in Settings(ethertypes=(0x88CC, 4)).to_bytes()


def test_timeouts_become_jiffies_and_never_wrap() -> None:
    raw = Settings(hz=250, idle_s={Idle.TCP_OPENING: 2, Idle.TCP_STEADY: 10**9}).to_bytes()
    words = [int.from_bytes(raw[at : at + 4], "little") for at in range(0, len(raw), 4)]
    assert words[-IDLE_SLOTS:][:2] == [500, 0xFFFFFFFF]


def test_more_ethertypes_than_fit_are_a_mistake_of_ours() -> None:
    with pytest.raises(AssertionError, match="9 ethertypes"):
        Settings(ethertypes=tuple(range(1, ETHERTYPE_SLOTS + 2))).to_bytes()


def test_every_timeout_has_a_default_and_a_place() -> None:
    assert set(DEFAULT_IDLE_S) == set(Idle)
    assert max(Idle) < IDLE_SLOTS


def test_the_page_names_every_setting() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for which, seconds in DEFAULT_IDLE_S.items():
        (row,) = (
            line for line in page.splitlines() if line.startswith("|") and f"`{which.name.lower()}`" in line
        )
        assert row.endswith(f"| {seconds:,} |")
    for flag in Unasked:
        assert f"| `{str(flag.name).lower()}` |" in page
    for option in Option:
        assert f"`{str(option.name).lower()}`" in page


def test_what_passes_by_default_is_what_the_page_says() -> None:
    expected = Unasked.ARP | Unasked.NEIGHBOUR | Unasked.MULTICAST_LISTENER | Unasked.DHCP_CLIENT
    assert expected == DEFAULT_UNASKED
