"""The live sessions of a kernel in memory."""

from __future__ import annotations

from dataclasses import dataclass, field

from microseg.abi_session import Session


@dataclass
class FakeFlows:
    """What stands for `microseg.kernel.flows.Flows`."""

    live: list[Session] = field(default_factory=list)

    def sessions(self) -> list[Session]:
        """Return what was put there."""
        return self.live
