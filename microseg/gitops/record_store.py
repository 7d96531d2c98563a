"""The agent's files: what it remembers, twice.

    RUN_DIR/agent/record.json     as of the last look; gone after a reboot
    STATE_DIR/agent.json          the same without the times of looking; durable, written when it changes

They never decide what the kernel holds. When the state directory's disk is full, the first still tells.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from microseg.gitops.record import AgentRecord
from microseg.gitops.record_json import record_from_json, record_to_json
from microseg.reconcile import durable

if TYPE_CHECKING:
    from pathlib import Path

AGENT_DIR = "agent"
"""The agent's part of the run directory."""

_UNREADABLE = (KeyError, TypeError, ValueError, AttributeError)
"""What strict reading raises for content that isn't ours; undecodable text and JSON are ValueErrors."""


class RecordStore:
    """Reads and writes the two files."""

    def __init__(self, state_dir: Path, run_dir: Path) -> None:
        self.durable_path = state_dir / "agent.json"
        self.volatile_path = run_dir / AGENT_DIR / "record.json"
        self._durable: AgentRecord | None = None

    def read(self) -> tuple[AgentRecord, list[str]]:
        """Return what is remembered, and what could not be read, for people. Raises OSError."""
        problems: list[str] = []
        last = _read(self.volatile_path, problems)
        kept = _read(self.durable_path, problems)
        return last or kept or AgentRecord(), problems

    def write(self, record: AgentRecord) -> None:
        """Write what has changed. Raises OSError; as much as could be written is."""
        durable.replace(self.volatile_path, _content(record))
        lasting = replace(record, seen_at=None, next_look=None, pid=0)
        if lasting != self._durable:
            durable.write(self.durable_path, _content(lasting))
            self._durable = lasting


def _content(record: AgentRecord) -> bytes:
    return json.dumps(record_to_json(record), ensure_ascii=False, indent=1).encode() + b"\n"


def _read(path: Path, problems: list[str]) -> AgentRecord | None:
    try:
        return record_from_json(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except _UNREADABLE as error:
        problems.append(f"{path} is not an agent's file of this version ({type(error).__name__}: {error})")
        return None
