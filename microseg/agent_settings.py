"""How the agent is set: the table [agent] of microseg.toml."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, fields
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Value: TypeAlias = Any
"""Whatever a TOML file can say."""

LONGEST_CONFIRM_S = 86_400.0


class Drift(Enum):
    """What the agent does about a kernel that holds something else than was applied."""

    HEAL = "heal"
    REPORT = "report"
    OFF = "off"


class Signed(Enum):
    """What has to carry a good signature before it's applied."""

    NOTHING = "nothing"
    COMMIT = "commit"
    TAG = "tag"


class Notes(Enum):
    """Whether notes are written at commits that were tried, and what becomes of them."""

    OFF = "off"
    LOCAL = "local"
    PUSH = "push"


class Endpoint(NamedTuple):
    """Where a TCP connection must go on working."""

    address: str
    port: int


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """The table [agent].

    Attributes:
        remote: what to fetch from, into a clone of the agent's own; empty: the policy directory counts.
        branch: a branch, tag or commit to follow; empty: the files of the policy directory as they are.
        directory: where the policies are in the remote's repository.
        interval_s: how often to look without being told.
        fetch_timeout_s: for how long a fetch may take.
        debounce_s: for how long files have to rest before they are read.
        backoff_s: first pause after a failure that may pass; it doubles, up to backoff_max_s.
        backoff_max_s: the longest pause.
        drift: what to do about a kernel that holds something else.
        drift_interval_s: how often all of the kernel's entries are compared.
        confirm_within_s: how long a new policy has to prove itself by the probes; 0: no such trial.
        probes: TCP connections that must go on working.
        signed: what has to carry a good signature.
        allowed_signers: who may sign with SSH, as in ssh-keygen(1); None: as git is configured.
        metrics: where to serve figures for Prometheus; None: nowhere.
        webhook: where to report each try to by a request; empty: nowhere.
        webhook_timeout_s: for how long it may take to answer.
        webhook_secret: a file with what those requests are signed with; None: they aren't.
        notes: whether each try is written down at its commit, in git.

    """

    remote: str = ""
    branch: str = ""
    directory: str = "policies.d"
    interval_s: float = 60.0
    fetch_timeout_s: float = 60.0
    debounce_s: float = 0.1
    backoff_s: float = 1.0
    backoff_max_s: float = 300.0
    drift: Drift = Drift.HEAL
    drift_interval_s: float = 300.0
    confirm_within_s: float = 0.0
    probes: tuple[Endpoint, ...] = ()
    signed: Signed = Signed.NOTHING
    allowed_signers: Path | None = None
    metrics: Endpoint | None = None
    webhook: str = ""
    webhook_timeout_s: float = 10.0
    webhook_secret: Path | None = None
    notes: Notes = Notes.OFF


def read_agent_settings(table: Mapping[str, Value], folder: Path) -> AgentSettings:
    """Return the settings of a table; raises ValueError naming the setting and the reason.

    Args:
        table: as TOML has it.
        folder: where relative paths start.

    """
    known = [each.name for each in fields(AgentSettings)]
    values: dict[str, Value] = {}
    for name, value in table.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise ValueError(f"unknown setting {name}" + (f"; did you mean {near[0]}?" if near else ""))
        try:
            values[name] = _READERS[name](value)
        except ValueError as error:
            raise ValueError(f"{name}: {value!r} is {error}") from error
    for name in _PATHS & values.keys():
        values[name] = folder / values[name]
    settings = AgentSettings(**values)
    if settings.confirm_within_s and not settings.probes:
        raise ValueError("confirm_within_s needs probes to decide by")
    if settings.signed is not Signed.NOTHING and not (settings.remote or settings.branch):
        raise ValueError("signed needs a remote or a branch: files carry no signature")
    if settings.signed is Signed.TAG and not settings.branch:
        raise ValueError("signed needs the name of a tag: branch")
    if settings.notes is Notes.PUSH and not settings.remote:
        raise ValueError("notes can't be pushed without a remote")
    return settings


def read_endpoint(text: str) -> Endpoint:
    """Return what `10.0.0.1:22` or `[2001:db8::1]:22` names; raises ValueError with the reason."""
    address, separator, port = text.rpartition(":")
    if not separator or not address or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise ValueError("not ADDRESS:PORT")
    return Endpoint(address.removeprefix("[").removesuffix("]"), int(port))


def _text(value: Value) -> str:
    if not isinstance(value, str) or not value.isprintable():
        raise ValueError("not a line of text")
    return value


def _name(value: Value) -> str:
    """Return what is handed to git; it must never be taken for an option."""
    text = _text(value)
    if text.startswith("-"):
        raise ValueError("not a name: it starts like an option")
    return text


def _directory(value: Value) -> str:
    parts = [part for part in _name(value).split("/") if part not in ("", ".")]
    if ".." in parts or value.startswith("/"):
        raise ValueError("not a directory inside the repository")
    return "/".join(parts)


def _seconds(value: Value) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise ValueError("not a number of seconds")
    return float(value)


def _pause(value: Value) -> float:
    seconds = _seconds(value)
    if not seconds:
        raise ValueError("not a pause")
    return seconds


def _confirm(value: Value) -> float:
    seconds = _seconds(value)
    if 0 < seconds < 1 or seconds > LONGEST_CONFIRM_S:
        raise ValueError("not between a second and a day")
    return seconds


def _endpoints(value: Value) -> tuple[Endpoint, ...]:
    if not isinstance(value, list):
        raise ValueError("not a list of ADDRESS:PORT")  # noqa: TRY004  every reader says so by a ValueError
    return tuple(read_endpoint(_text(each)) for each in value)


def _one_of(kind: type[Drift | Signed | Notes]) -> Callable[[Value], Value]:
    def read(value: Value) -> Value:
        if value not in [member.value for member in kind]:
            raise ValueError("not one of " + ", ".join(member.value for member in kind))
        return kind(value)

    return read


def _path(value: Value) -> Path:
    return Path(_text(value))


def _web_address(value: Value) -> str:
    text = _text(value)
    if not text.startswith(("https://", "http://")):
        raise ValueError("not an address that begins with https:// or http://")
    return text


_PATHS = {"allowed_signers", "webhook_secret"}

_READERS: dict[str, Callable[[Value], Value]] = {
    "remote": _name,
    "branch": _name,
    "directory": _directory,
    "interval_s": _pause,
    "fetch_timeout_s": _pause,
    "debounce_s": _seconds,
    "backoff_s": _pause,
    "backoff_max_s": _pause,
    "drift": _one_of(Drift),
    "drift_interval_s": _pause,
    "confirm_within_s": _confirm,
    "probes": _endpoints,
    "signed": _one_of(Signed),
    "allowed_signers": _path,
    "metrics": lambda value: read_endpoint(_text(value)),
    "webhook": _web_address,
    "webhook_timeout_s": _pause,
    "webhook_secret": _path,
    "notes": _one_of(Notes),
}
