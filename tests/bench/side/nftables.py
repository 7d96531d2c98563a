"""nftables as a contestant: in its best form, rule by rule, and before everything else at the interface."""

from __future__ import annotations

from bench.side.contestant import Lets, Place, Rules
from bench.side.lab import Receiver

_STATEFUL = """\
table inet filter
delete table inet filter
table inet filter {{
  {maps}
  chain input {{ type filter hook input priority 0; policy drop;
    ct state established,related accept
    icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} accept
    tcp dport 5201 accept
  }}
  chain forward {{ type filter hook forward priority 0; policy drop;
    ct state established,related accept
    {rules}
  }}
}}
"""
_NETDEV = """\
table netdev filter
delete table netdev filter
table netdev filter {{
  {maps}
  chain ingress {{ type filter hook ingress device eth0 priority 0; policy drop;
    {rules}
    meta protocol arp accept
    icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} accept
  }}
}}
"""
_LOOKUPS = "ip saddr . ip daddr . udp dport vmap @v4\n ip6 saddr . ip6 daddr . udp dport vmap @v6\n"


class Nftables:
    """A ruleset of nft; this one with the rules in verdict maps, which are hashes."""

    name = "nftables: ct, verdict map"
    lets = Lets.ALLOWED
    stateful = True
    _frame = _STATEFUL

    def __init__(self) -> None:
        self._receiver: Receiver

    def set_up(self, place: Place) -> None:
        """Remember where."""
        self._receiver = place.receiver

    def install(self, rules: Rules) -> None:
        """Load the ruleset, in one transaction."""
        self._receiver.inside.run("nft", "-f", "-", stdin=self._frame.format(**self.parts(rules)))

    def parts(self, rules: Rules) -> dict[str, str]:
        """Return what goes into the ruleset's frame."""
        element = "{client} . {server} . {port} : accept,\n"
        maps = [
            f"map v{version} {{ type {kind} . {kind} . inet_service : verdict\n"
            f"elements = {{ {rules.lines(version, element)} }} }}\n"
            for version, kind in ((4, "ipv4_addr"), (6, "ipv6_addr"))
        ]
        return {"maps": "".join(maps), "rules": _LOOKUPS}

    def forget(self) -> None:
        """Empty the connection table."""
        if self.stateful:
            self._receiver.inside.run("conntrack", "-F")


class Linear(Nftables):
    """One rule after the other."""

    name = "nftables: ct, linear"

    def parts(self, rules: Rules) -> dict[str, str]:
        """Return what goes into the ruleset's frame."""
        form = " saddr {client} {word} daddr {server} udp dport {port} accept\n"
        lines = [
            rules.lines(version, word + form.replace("{word}", word))
            for version, word in ((4, "ip"), (6, "ip6"))
        ]
        return {"maps": "", "rules": "".join(lines)}


class Netdev(Nftables):
    """Every packet looked up in the verdict map, at the interface, with no memory of flows."""

    name = "nftables: netdev, verdict map (stateless)"
    stateful = False
    _frame = _NETDEV
