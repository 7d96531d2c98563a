"""What earlier looks at a policy found out, for those who look again and again (see `compiler.memory`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from microseg.compiler import memory as compiling
from microseg.memo import Memo

if TYPE_CHECKING:
    from microseg.analysis.regions import Region
    from microseg.policy.evaluate import Decision
    from microseg.policy.packet import Packet
    from microseg.policy.rules import Policy, Ruleset


@dataclass(slots=True)
class Memory:
    """What is kept.

    Attributes:
        compiling: of the compiler.
        sound: the last ruleset that had no conflict and no failing test; None: the last one had.
        bounds: a region around all rules of a policy.
        decided_by: what `decisions` are of.
        decisions: what became of packets.
        towards: the rules of a policy that lead to some hosts.

    """

    compiling: compiling.Memory = field(default_factory=compiling.Memory)
    sound: Ruleset | None = None
    bounds: Memo[Region] = field(default_factory=Memo)
    decided_by: Ruleset | None = None
    decisions: dict[Packet, Decision] = field(default_factory=dict)
    towards: Memo[Policy] = field(default_factory=Memo)

    def age(self) -> None:
        """Forget what wasn't asked for since the last time."""
        self.compiling.age()
        self.bounds.age()
        self.towards.age()
