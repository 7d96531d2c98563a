"""How the program in the kernel is set: the table [data_plane] of microseg.toml, and its words for a plan."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from microseg.abi_settings import (
    DEFAULT_IDLE_S,
    DEFAULT_UNASKED,
    ETHERTYPE_SLOTS,
    NO_OPTIONS,
    Idle,
    Option,
    Settings,
    Unasked,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Value: TypeAlias = Any
"""Whatever a TOML file can say."""

MAX_PER_S = 1_000_000
LONGEST_IDLE_S = 30 * 86_400
"""In jiffies, at most 1,000 a second, it fits 32 bits."""
FRAMES_802_3 = 4
"""Stands for all frames with a length in the place of an ethertype."""
LEAST_ETHERTYPE, LARGEST_ETHERTYPE = 0x600, 0xFFFF
JUDGED_ETHERTYPES = {0x0800: "IPv4", 0x86DD: "IPv6", 0x8100: "VLAN tags", 0x88A8: "VLAN tags"}
ARP = 0x0806


@dataclass(frozen=True, slots=True)
class SettingChange:
    """A setting of the program that is another one afterwards; texts are as in microseg.toml."""

    name: str
    before: str
    after: str


def read_data_plane_settings(table: Mapping[str, Value]) -> Settings:
    """Return the settings; what is missing has its default. Raises ValueError with what is wrong."""
    _check_names(
        table, ["events_per_s", "answers_per_s", "judge_icmp_errors", "ethertypes", "unasked", "idle_s"]
    )
    default = Settings()
    judges_errors = _flag("judge_icmp_errors", table.get("judge_icmp_errors", False))
    return replace(
        default,
        events_per_s=_number("events_per_s", table.get("events_per_s", default.events_per_s), 0, MAX_PER_S),
        answers_per_s=_number(
            "answers_per_s", table.get("answers_per_s", default.answers_per_s), 0, MAX_PER_S
        ),
        options=Option.JUDGE_ICMP_ERRORS if judges_errors else NO_OPTIONS,
        ethertypes=_ethertypes(table.get("ethertypes", [])),
        unasked=_unasked(table.get("unasked", {})),
        idle_s=_idle(table.get("idle_s", {})),
    )


def changes(before: Settings, after: Settings) -> tuple[SettingChange, ...]:
    """Return what an operator has set otherwise; adoption and the kernel's clock are not theirs to set."""
    old, new = _texts(before), _texts(after)
    return tuple(SettingChange(name, old[name], new[name]) for name in new if new[name] != old[name])


def put_into(running: Settings, wanted: Settings) -> Settings:
    """Return what is wanted, with the adoption and the clock of the running program."""
    return replace(wanted, adopt_until_s=running.adopt_until_s, hz=running.hz)


def _texts(settings: Settings) -> dict[str, str]:
    texts = {
        "events_per_s": str(settings.events_per_s),
        "answers_per_s": str(settings.answers_per_s),
        "judge_icmp_errors": _word(Option.JUDGE_ICMP_ERRORS in settings.options),
        "ethertypes": "[" + ", ".join(f"{one:#06x}" for one in settings.ethertypes) + "]",
    }
    texts |= {f"unasked.{one.name}".lower(): _word(one in settings.unasked) for one in Unasked}
    texts |= {f"idle_s.{one.name}".lower(): str(settings.idle_s[one]) for one in Idle}
    assert len(fields(settings)) == 8, "a new setting needs its text"
    return texts


def _word(value: bool) -> str:  # noqa: FBT001  # a value, not a switch
    return "true" if value else "false"


def _number(name: str, value: Value, least: int, largest: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= largest:
        raise ValueError(f"{name}: {value!r} is not a whole number, {least} .. {largest:,}")
    return value


def _flag(name: str, value: Value) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{name}: {value!r} is neither true nor false")  # noqa: TRY004  # as all readers do
    return value


def _table(name: str, value: Value, known: Iterable[str]) -> Mapping[str, Value]:
    if not isinstance(value, dict):
        raise ValueError(f"{name} is not a table: write [data_plane.{name}]")  # noqa: TRY004  # likewise
    _check_names(value, list(known), f"{name}: ")
    return value


def _unasked(value: Value) -> Unasked:
    names = {str(one.name).lower(): one for one in Unasked}
    chosen = DEFAULT_UNASKED
    for name, passes in _table("unasked", value, names).items():
        chosen = chosen | names[name] if _flag(f"unasked.{name}", passes) else chosen & ~names[name]
    return chosen


def _idle(value: Value) -> dict[Idle, int]:
    names = {one.name.lower(): one for one in Idle}
    table = _table("idle_s", value, names)
    return DEFAULT_IDLE_S | {
        names[name]: _number(f"idle_s.{name}", seconds, 1, LONGEST_IDLE_S) for name, seconds in table.items()
    }


def _ethertypes(value: Value) -> tuple[int, ...]:
    if not isinstance(value, list):
        raise ValueError(f"ethertypes: {value!r} is not a list of numbers, as in [0x88cc, 0x8899]")  # noqa: TRY004
    if len(value) > ETHERTYPE_SLOTS:
        raise ValueError(f"ethertypes: {len(value)} are given, {ETHERTYPE_SLOTS} fit")
    for one in value:
        if one == FRAMES_802_3 and not isinstance(one, bool):
            continue
        if (
            isinstance(one, bool)
            or not isinstance(one, int)
            or not LEAST_ETHERTYPE <= one <= LARGEST_ETHERTYPE
        ):
            raise ValueError(
                f"ethertypes: {one!r} is none; they are 0x0600 .. 0xffff, and 4 for all 802.3 frames"
            )
        if one == ARP:
            raise ValueError("ethertypes: 0x0806 is ARP, which unasked.arp is about")
        if one in JUDGED_ETHERTYPES:
            raise ValueError(f"ethertypes: {one:#06x} is {JUDGED_ETHERTYPES[one]}, which are always judged")
    return tuple(dict.fromkeys(value))


def _check_names(table: Mapping[str, Value], known: list[str], prefix: str = "") -> None:
    for name in table:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"settings are: {', '.join(known)}"
            raise ValueError(f"{prefix}unknown setting {name}; {hint}")
