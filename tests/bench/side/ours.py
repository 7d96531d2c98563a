"""microseg as a contestant, by either hook."""

from __future__ import annotations

from dataclasses import replace

from bench.side.contestant import Lets, Place, Rules
from bench.side.flows import PORT
from bench.side.lab import SERVER
from kernel.laboratory import Laboratory, allow

from microseg.kernel.dataplane import PinnedDataPlane
from microseg.policy.rules import Rule
from microseg.reconcile.dataplane import Attachment, Hook, Sizing

AN_HOUR_S = 3600


class Ours:
    """microseg, as `apply` would set it up."""

    lets = Lets.ALLOWED
    stateful = True

    def __init__(self, hook: Hook, only: Rules | None = None) -> None:
        """Only: the rules to follow, whatever is installed for the others."""
        size = f", {only.count:,} rules" if only else ""
        self.name = f"microseg, {'XDP' if hook is Hook.XDP else 'TC'}{size}"
        self._hook, self._only = hook, only
        self._lab: Laboratory

    def set_up(self, place: Place) -> None:
        """Load and attach it; flows time out as late as everybody's."""
        plane = PinnedDataPlane(place.pins)
        place.open.callback(plane.close)
        place.open.callback(plane.unload)
        plane.load(_sizing(place))
        settings = plane.read_settings()
        plane.write_settings(replace(settings, idle_s=dict.fromkeys(settings.idle_s, AN_HOUR_S)))
        self._lab = Laboratory(plane, self._hook)
        with place.receiver.inside.entered():
            plane.attach([Attachment("eth0", self._hook)])

    def install(self, rules: Rules) -> None:
        """Put the policy in force."""
        self._lab.enforce(*policy(self._only or rules))

    def forget(self) -> None:
        """Do nothing: sessions take no more time the more there are."""


def _sizing(place: Place) -> Sizing:
    """Return the usual capacities, or larger ones: a rule is an address and two entries."""
    usual, rules = Sizing(sessions=place.sessions, sessions6=place.sessions), place.rules
    return replace(
        usual,
        addresses=max(usual.addresses, 2 * rules),
        rules=max(usual.rules, 4 * rules),
        rule_counters=max(usual.rule_counters, 2 * rules),
    )


def policy(rules: Rules) -> list[Rule]:
    """Return the rules; and one for iperf3, which runs over the cable itself."""
    made = [
        allow(client, SERVER[version], f"udp/{PORT}")
        for version in (4, 6)
        for client in rules.clients(version)
    ]
    return [*made, allow("10.0.0.0/16", "10.0.0.0/16", "tcp/5201")]
