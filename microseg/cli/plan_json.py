"""A plan for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from microseg.cli.entry_text import describe
from microseg.cli.plan_text import default_words, rule_changes, totals
from microseg.reconcile.records import revision_to_json

if TYPE_CHECKING:
    from microseg.reconcile.plan import Change, Plan
    from microseg.reconcile.records import Attribution


def plan_object(plan: Plan, *, entries: bool = True) -> dict[str, Any]:
    """Return a plan for JSON. Keys and values of entries are hexadecimal, as the kernel's bytes."""
    created, updated, deleted = totals(plan)
    return {
        "empty": plan.is_empty,
        "generation": plan.generation,
        "revision": revision_to_json(plan.revision),
        "desired_digest": plan.desired.hex(),
        "observed_digest": plan.observed.hex() if plan.observed else None,
        "load": plan.load,
        "upgrade": list(plan.upgrade),
        "attach": [{"interface": it.interface, "hook": it.hook.value} for it in plan.attach],
        "settings": [{"name": it.name, "before": it.before, "after": it.after} for it in plan.settings],
        "default": default_words(plan.default.after) if plan.default else None,
        "counts": {"create": created, "update": updated, "delete": deleted},
        "maps": {name.value: each._asdict() for name, each in plan.counts().items()},
        "rules": [
            {"change": change.kind.name.lower(), "detail": change.detail}
            | rule_object(change.rule_id, change.rule)
            for change in rule_changes(plan)
        ],
        "entries": [_entry_object(change, plan) for change in plan.changes] if entries else None,
    }


def rule_object(rule_id: int, rule: Attribution | None) -> dict[str, Any]:
    """Return a rule and where it stands for JSON; unknown fields are null."""
    return {
        "id": rule_id,
        "policy": rule.policy if rule else None,
        "text": rule.text if rule else None,
        "file": rule.path or None if rule else None,
        "line": rule.line or None if rule else None,
    }


def _entry_object(change: Change, plan: Plan) -> dict[str, Any]:
    rule_id = change.rule_id()
    return {
        "map": change.map.value,
        "change": change.kind.name.lower(),
        "key": change.key.hex(),
        "before": change.before.hex() if change.before is not None else None,
        "after": change.after.hex() if change.after is not None else None,
        "text": describe(change, plan),
        "rule": rule_object(rule_id, plan.rule_of(change)) if rule_id else None,
    }
