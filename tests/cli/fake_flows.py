"""The live sessions and statistics of a kernel in memory."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from microseg.abi_flow import Direction, Stats
from microseg.abi_outcome import Outcome
from microseg.abi_session import Session
from microseg.kernel.runs import Runs


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

    def packets_by_cpu(self) -> tuple[int, ...]:
        """Return that no CPU saw anything."""
        return 0, 0

    def runs(self) -> dict[Direction, Runs]:
        """Return that the kernel counted nothing."""
        return dict.fromkeys(Direction, Runs(0, 0))
