"""The capacities of the maps that tests make do with."""

from __future__ import annotations

from dataclasses import asdict

from microseg.reconcile.dataplane import Sizing

SIZING = Sizing(addresses=4096, services=1024, rules=8192, sessions=4096, sessions6=4096, rule_counters=1024)


def settings_of(sizing: Sizing) -> str:
    """Return what is to be in microseg.toml."""
    return "".join(["[maps]\n", *(f"{name} = {value}\n" for name, value in asdict(sizing).items())])
