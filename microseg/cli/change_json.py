"""What changes for traffic, for programs: docs/schemas has the schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from microseg.analysis import service_text
from microseg.cli.change_words import responsible

if TYPE_CHECKING:
    from microseg.analysis.difference import Change
    from microseg.analysis.wording import Product
    from microseg.cli.change_words import Responsible
    from microseg.policy.addresses import AddressSet
    from microseg.policy.packet import Packet
    from microseg.reconcile.effect import Effect, Sessions
    from microseg.reconcile.records import Attribution


def effect_object(effect: Effect) -> dict[str, Any]:
    """Return what changes, every product of it in names and written out."""
    return {
        "changes": [_change_object(change) for change in effect.changes],
        "sessions": _sessions_object(effect.sessions) if effect.sessions else None,
    }


def product_object(product: Product) -> dict[str, Any]:
    """Return a product: its text, and each side in names and as what it stands for."""
    region = product.region
    return {
        "text": str(product),
        "source": {"text": product.src, "addresses": addresses(region.src)},
        "destination": {"text": product.dst, "addresses": addresses(region.dst)},
        "service": {"text": product.service, "services": service_text.terms(region.service)},
    }


def addresses(wanted: AddressSet) -> list[str]:
    """Return the networks that together are a set."""
    return [str(network) for network in wanted.networks()]


def packet_object(packet: Packet) -> dict[str, Any]:
    """Return a packet, in words and field by field."""
    return {
        "text": str(packet),
        "source": str(packet.src),
        "destination": str(packet.dst),
        "protocol": packet.protocol,
        "port": packet.port,
        "source_port": packet.source_port,
    }


def responsible_object(rule: Responsible) -> dict[str, Any]:
    """Return a rule or the default; unknown fields are null."""
    return {
        "policy": rule.policy or None,
        "text": rule.text,
        "file": rule.path or None,
        "line": rule.line or None,
    }


def _change_object(change: Change) -> dict[str, Any]:
    return {
        "kind": change.kind.name.lower(),
        "before": change.before.name.lower(),
        "after": change.after.name.lower(),
        "packets": product_object(change.part.product),
        "except": [product_object(product) for product in change.part.exceptions],
        "witness": packet_object(change.part.witness),
        "rules_before": [responsible_object(rule) for rule in responsible(change.rules_before)],
        "rules_after": [responsible_object(rule) for rule in responsible(change.rules_after)],
    }


def _sessions_object(sessions: Sessions) -> dict[str, Any]:
    return {
        "live": sessions.live,
        "cut": [
            {
                "opened_by": packet_object(each.packet),
                "verdict": each.verdict.name.lower(),
                "rule_before": _attribution_object(each.before),
                "rule_after": _attribution_object(each.after),
            }
            for each in sessions.cut
        ],
    }


def _attribution_object(rule: Attribution | None) -> dict[str, Any] | None:
    if rule is None:
        return None
    return {
        "policy": rule.policy or None,
        "text": rule.text,
        "file": rule.path or None,
        "line": rule.line or None,
    }
