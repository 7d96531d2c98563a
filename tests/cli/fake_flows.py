"""The live sessions and statistics of a kernel in memory."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from microseg.abi_flow import Stats
from microseg.abi_outcome import Outcome
from microseg.abi_session import Session


@dataclass
class FakeFlows:
    """What stands for `microseg.kernel.flows.Flows`."""

    live: list[Session] = field(default_factory=list)

    def sessions(self) -> list[Session]:
        """Return what was put there."""
        return self.live

    def stats(self) -> Stats:
        """Return that nothing ever went through."""
        return Stats(dict.fromkeys(Outcome, 0), *[0] * (len(fields(Stats)) - 1))
