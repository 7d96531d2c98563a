"""Where this instance keeps its things and how it is set: option > MICROSEG_* > microseg.toml > default."""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from microseg.abi_settings import Settings as DataPlaneSettings
from microseg.agent_settings import AgentSettings, read_agent_settings
from microseg.analysis.taste import OpenSide, Options, Taste
from microseg.data_plane_settings import read_data_plane_settings
from microseg.output.severities import Severities
from microseg.reconcile.dataplane import Hook, Sizing
from microseg.reconcile.safeguards import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DEFAULT_FILE = Path("/etc/microseg/microseg.toml")
FILE_VARIABLE = "MICROSEG_CONFIG"
SIZING_TABLE = "maps"
LINT_TABLE = "lint"
AGENT_TABLE = "agent"
DATA_PLANE_TABLE = "data_plane"
GUARDS_TABLE = "guards"
TABLES = (GUARDS_TABLE, SIZING_TABLE, DATA_PLANE_TABLE, LINT_TABLE, AGENT_TABLE)
LARGEST_MAP = 1 << 24
MAX_NOTICE_DAYS = 3660

Value: TypeAlias = Any
"""Whatever a TOML file, a variable or an option can say."""


class ConfigError(Exception):
    """A setting can't be used; nothing was changed.

    Attributes:
        message: which one, from where, and why.
        advice: what to type instead; may be empty.

    """

    def __init__(self, message: str, *, advice: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice


@dataclass(frozen=True, slots=True)
class Settings:
    """One instance of microseg.

    Attributes:
        policy_dir: the policy files.
        state_dir: what was applied, when and by whom.
        run_dir: the lock.
        pin_dir: programs and maps, in a BPF file system.
        interfaces: where the program is to be attached.
        hook: how; None: as the kernel prefers.
        lock_timeout_s: how long to wait for another writer.
        adopt_s: for how long after attaching TCP connections in progress are adopted.
        debug_program: the program traces each packet.
        sizing: capacities of the kernel's maps.
        limits: how much an apply may change at once.
        data_plane: how the program in the kernel is set.
        lint: what lint looks for, and how severe it takes it.
        agent: how the agent is set.

    """

    policy_dir: Path = Path("/etc/microseg/policies.d")
    state_dir: Path = Path("/var/lib/microseg")
    run_dir: Path = Path("/run/microseg")
    pin_dir: Path = Path("/sys/fs/bpf/microseg")
    interfaces: tuple[str, ...] = ()
    hook: Hook | None = None
    lock_timeout_s: float = 0.0
    adopt_s: float = 300.0
    debug_program: bool = False
    sizing: Sizing = field(default_factory=Sizing)
    limits: Limits = field(default_factory=Limits)
    data_plane: DataPlaneSettings = field(default_factory=DataPlaneSettings)
    lint: Taste = field(default_factory=Taste)
    agent: AgentSettings = field(default_factory=AgentSettings)


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its name in microseg.toml, and how its values are read.

    Attributes:
        name: the field of Settings, the key of the file; variable and option are named after it.
        read: makes the field's value of what a file or an option says; raises ValueError with the reason.
        split: makes what a file would say of a variable's text.

    """

    name: str
    read: Callable[[Value], Value]
    split: Callable[[str], Value] = str

    @property
    def variable(self) -> str:
        """The environment variable."""
        return f"MICROSEG_{self.name.upper()}"

    @property
    def option(self) -> str:
        """The option of the command line."""
        if self.name == "interfaces":
            return "--interface"
        return f"--{self.name.removesuffix('_s').replace('_', '-')}"


def _path(value: Value) -> Path:
    if not isinstance(value, str | Path) or not str(value):
        raise ValueError("not a path")
    return Path(value)


def _interfaces(value: Value) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(name, str) and name for name in value):
        raise ValueError("not a list of interface names")
    return tuple(dict.fromkeys(value))


def _hook(value: Value) -> Hook:
    if value in [hook.value for hook in Hook]:
        return Hook(value)
    raise ValueError(f"not one of {', '.join(hook.value for hook in Hook)}")


def _seconds(value: Value) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise ValueError("not a number of seconds")
    return float(value)


def _flag(value: Value) -> bool:
    if not isinstance(value, bool):
        raise ValueError("neither true nor false")  # noqa: TRY004  every reader says so by a ValueError
    return value


def _too_open(value: Value) -> dict[str, Value]:
    sides = {side.name.lower(): side for side in OpenSide}
    if not isinstance(value, list) or not set(map(str, value)) <= sides.keys():
        raise ValueError(f"not a list of {', '.join(sides)}")
    return {"too_open": frozenset(sides[name] for name in value)}


def _repeated_default(value: Value) -> dict[str, Value]:
    return {"repeated_default": _flag(value)}


def _notice(value: Value) -> dict[str, Value]:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_NOTICE_DAYS:
        raise ValueError(f"not a number of days, 0 .. {MAX_NOTICE_DAYS}")
    return {"notice": timedelta(days=value)}


def _truth(text: str) -> Value:
    return {"1": True, "true": True, "0": False, "false": False}.get(text.lower(), text)


def _number(text: str) -> Value:
    try:
        return float(text)
    except ValueError:
        return text


SETTINGS = (
    Setting("policy_dir", _path),
    Setting("state_dir", _path),
    Setting("run_dir", _path),
    Setting("pin_dir", _path),
    Setting("interfaces", _interfaces, split=str.split),
    Setting("hook", _hook),
    Setting("lock_timeout_s", _seconds, split=_number),
    Setting("adopt_s", _seconds, split=_number),
    Setting("debug_program", _flag, split=_truth),
)

LINT_OPTIONS: Mapping[str, Callable[[Value], dict[str, Value]]] = {
    "too_open": _too_open,
    "repeated_default": _repeated_default,
    "expiry_notice_days": _notice,
}
"""What [lint] says besides codes; each makes the field of Options that it sets, or raises ValueError."""

PATHS = ("policy_dir", "state_dir", "run_dir", "pin_dir")


def load(options: Mapping[str, Value], environment: Mapping[str, str], file: Path | None = None) -> Settings:
    """Return the settings.

    Args:
        options: of the command line, by name of the field; None and empty tuples are as if absent.
        environment: variables.
        file: microseg.toml, when the command line names one.

    Raises:
        ConfigError: a value can't be used, or a file that was named can't be read.

    """
    written = _written(environment, file)
    values: dict[str, Value] = {}
    for setting in SETTINGS:
        candidates = _candidates(setting, options, environment, written)
        if candidates:
            values[setting.name] = _read(setting, *candidates[0])
    sizing = _sizing(written.values.get(SIZING_TABLE, {}), written.path)
    taste = _taste(written.values.get(LINT_TABLE, {}), written.path)
    limits = _limits(written.values.get(GUARDS_TABLE, {}), written.path)
    data_plane = _data_plane(written.values.get(DATA_PLANE_TABLE, {}), written.path)
    agent = _agent(written.values.get(AGENT_TABLE, {}), written.path)
    return Settings(**values, sizing=sizing, data_plane=data_plane, lint=taste, agent=agent, limits=limits)


@dataclass(frozen=True, slots=True)
class _Written:
    """The file's content; relative paths in it start where it is."""

    path: Path
    values: Mapping[str, Value]


def _candidates(
    setting: Setting, options: Mapping[str, Value], environment: Mapping[str, str], written: _Written
) -> list[tuple[str, Value]]:
    """Return what is said of a setting, by whom, the strongest first."""
    found = []
    if options.get(setting.name) not in (None, ()):
        found.append((setting.option, options[setting.name]))
    if environment.get(setting.variable):
        found.append((setting.variable, setting.split(environment[setting.variable])))
    if setting.name in written.values:
        value = written.values[setting.name]
        if setting.name in PATHS and isinstance(value, str) and value:
            value = written.path.parent / value
        found.append((f"{written.path}: {setting.name}", value))
    return found


def _read(setting: Setting, origin: str, value: Value) -> Value:
    try:
        return setting.read(value)
    except ValueError as error:
        raise ConfigError(f"{origin}: {value!r} is {error}") from error


def _written(environment: Mapping[str, str], file: Path | None) -> _Written:
    """Read microseg.toml; the default one need not exist."""
    variable = environment.get(FILE_VARIABLE)
    path = file or (Path(variable) if variable else DEFAULT_FILE)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        if file or variable:
            raise ConfigError(f"{path}: no such file") from error
        return _Written(path, {})
    except PermissionError as error:
        if file or variable:
            raise ConfigError(f"{path}: permission denied") from error
        return _Written(path, {})
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error
    _check_names(values, [*(setting.name for setting in SETTINGS), *TABLES], str(path))
    return _Written(path, values)


def _limits(table: Value, path: Path) -> Limits:
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: {GUARDS_TABLE} is not a table", advice=f"write [{GUARDS_TABLE}]")
    _check_names(table, [each.name for each in fields(Limits)], f"{path}: [{GUARDS_TABLE}]")
    for name, value in table.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
            raise ConfigError(f"{path}: [{GUARDS_TABLE}] {name}: {value!r} is not a percentage, 0 .. 100")
    return Limits(**table)


def _sizing(table: Value, path: Path) -> Sizing:
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: {SIZING_TABLE} is not a table", advice=f"write [{SIZING_TABLE}]")
    _check_names(table, [each.name for each in fields(Sizing)], f"{path}: [{SIZING_TABLE}]")
    for name, value in table.items():
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= LARGEST_MAP:
            raise ConfigError(
                f"{path}: [{SIZING_TABLE}] {name}: {value!r} is not a number of entries, 1 .. {LARGEST_MAP}"
            )
    return Sizing(**table)


def _taste(table: Value, path: Path) -> Taste:
    """Read [lint]: options by their names, everything else is a code and how severe it is."""
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: {LINT_TABLE} is not a table", advice=f"write [{LINT_TABLE}]")
    options: dict[str, Value] = {}
    for name, value in table.items():
        if name in LINT_OPTIONS:
            try:
                options |= LINT_OPTIONS[name](value)
            except ValueError as error:
                raise ConfigError(f"{path}: [{LINT_TABLE}] {name}: {value!r} is {error}") from error
    codes = {name: level for name, level in table.items() if name not in LINT_OPTIONS}
    try:
        return Taste(Severities.read(codes), Options(**options))
    except ValueError as error:
        advice = f"microseg explain lists them; options are {', '.join(LINT_OPTIONS)}"
        raise ConfigError(f"{path}: [{LINT_TABLE}] {error}", advice=advice) from error


def _agent(table: Value, path: Path) -> AgentSettings:
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: {AGENT_TABLE} is not a table", advice=f"write [{AGENT_TABLE}]")
    try:
        return read_agent_settings(table, path.parent)
    except ValueError as error:
        raise ConfigError(f"{path}: [{AGENT_TABLE}] {error}") from error


def _data_plane(table: Value, path: Path) -> DataPlaneSettings:
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: {DATA_PLANE_TABLE} is not a table", advice=f"write [{DATA_PLANE_TABLE}]")
    try:
        return read_data_plane_settings(table)
    except ValueError as error:
        raise ConfigError(f"{path}: [{DATA_PLANE_TABLE}] {error}") from error


def _check_names(table: Mapping[str, Value], known: list[str], where: str) -> None:
    for name in table:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            advice = f"did you mean {near[0]}?" if near else f"settings are: {', '.join(known)}"
            raise ConfigError(f"{where}: unknown setting {name}", advice=advice)
