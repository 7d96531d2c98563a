"""iptables as a contestant: translated to nftables, or its own modules in the kernel."""

from __future__ import annotations

from bench.side.contestant import Lets, Place, Rules
from bench.side.lab import Receiver

_TABLE = """\
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
-A FORWARD -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
{rules}
COMMIT
"""
_RULE = "-A FORWARD -s {client} -d {server} -p udp -m udp --dport {port} -j ACCEPT\n"


class Iptables:
    """Rules one after the other, those of connections first."""

    lets = Lets.ALLOWED
    stateful = True

    def __init__(self, variant: str) -> None:
        self.name = f"iptables-{variant}: ct, linear"
        self._variant = variant
        self._receiver: Receiver

    def set_up(self, place: Place) -> None:
        """Remember where."""
        self._receiver = place.receiver

    def install(self, rules: Rules) -> None:
        """Load the table of each family, in one transaction."""
        for version, prefix in ((4, "iptables"), (6, "ip6tables")):
            text = _TABLE.format(rules=rules.lines(version, _RULE))
            self._receiver.inside.run(f"{prefix}-{self._variant}-restore", stdin=text)

    def forget(self) -> None:
        """Empty the connection table."""
        self._receiver.inside.run("conntrack", "-F")
