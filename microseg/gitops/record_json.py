"""What the agent remembers as JSON. Reading is strict: anything else than what was written is an error."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from datetime import date, datetime
from enum import Enum
from types import NoneType, UnionType
from typing import Any, TypeAlias, get_args, get_origin, get_type_hints

from microseg.gitops.record import AgentRecord
from microseg.reconcile.revision import Revision

FORMAT = 1
"""Version of the agent's files."""

Json: TypeAlias = Any

_NAMES = {"datetime": datetime, "date": date, "Revision": Revision}
"""Types that the record's module names in annotations only."""


def record_to_json(record: AgentRecord) -> dict[str, Json]:
    """Return the content of an agent's file."""
    return {"format": FORMAT, **_encode(record)}


def record_from_json(value: Json) -> AgentRecord:
    """Read an agent's file; raises KeyError, TypeError or ValueError for anything else."""
    if value["format"] != FORMAT:
        raise ValueError(f"written in format {value['format']!r}, this version reads format {FORMAT}")
    record = _decode(AgentRecord, {name: each for name, each in value.items() if name != "format"})
    assert isinstance(record, AgentRecord)
    return record


def _encode(value: Json) -> Json:
    match value:
        case None | bool() | int() | float() | str():
            return value
        case Enum():
            return value.value
        case date():
            return value.isoformat()
        case bytes():
            return value.hex()
        case tuple():
            return [_encode(each) for each in value]
        case _:
            return {each.name: _encode(getattr(value, each.name)) for each in fields(value)}


def _decode(kind: Json, value: Json) -> Json:
    """Return a value of a type that annotations of the record name."""
    origin: object = get_origin(kind)
    if origin is tuple:
        return tuple(_decode(get_args(kind)[0], each) for each in _checked(list, value))
    if isinstance(kind, UnionType):
        if value is None and NoneType in get_args(kind):
            return None
        return _decode(next(each for each in get_args(kind) if each is not NoneType), value)
    if is_dataclass(kind):
        return _decode_fields(kind, _checked(dict, value))
    if issubclass(kind, Enum):
        return kind(value)
    if kind in (date, datetime):
        return kind.fromisoformat(_checked(str, value))
    if kind is bytes:
        return bytes.fromhex(_checked(str, value))
    return _checked(kind, value)


def _decode_fields(kind: Json, value: dict[str, Json]) -> Json:
    hints = get_type_hints(kind, localns=_NAMES)
    if value.keys() != hints.keys():
        raise KeyError(f"{kind.__name__} has {sorted(value)}")
    return kind(**{name: _decode(hint, value[name]) for name, hint in hints.items()})


def _checked(kind: type, value: Json) -> Json:
    if type(value) is not kind:
        raise TypeError(f"{value!r} is no {kind.__name__}")
    return value
