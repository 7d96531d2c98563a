"""A plan's map entries for people: in a few words, and on request every rule and every entry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from microseg.abi import EntryFlag, PolicyMap, decode_policy_value
from microseg.cli import terminal
from microseg.cli.entry_text import TITLES, describe, policy_value
from microseg.cli.terminal import Align
from microseg.reconcile.plan import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from microseg.abi import SlotConfig
    from microseg.reconcile.plan import Change, Plan
    from microseg.reconcile.records import Attribution

SHOWN_RULES = 40
COLORS = {Kind.CREATE: "green", Kind.UPDATE: "yellow", Kind.DELETE: "red"}


@dataclass(frozen=True, slots=True)
class RuleChange:
    """What happens to one rule.

    Attributes:
        kind: it's new, another, or gone.
        rule_id: its id.
        rule: where it stands; None when nothing is known of it.
        detail: what is different, of a rule that stays.

    """

    kind: Kind
    rule_id: int
    rule: Attribution | None
    detail: str = ""

    @property
    def text(self) -> str:
        """The rule in its canonical words."""
        return self.rule.text if self.rule else f"rule #{self.rule_id:08x}, of which nothing is recorded"


def show_outline(plan: Plan) -> None:
    """Print what a plan does besides changing rules."""
    terminal.pairs(
        [
            ("load", _load(plan)),
            ("attach", ", ".join(f"{it.interface} ({it.hook.value})" for it in plan.attach)),
            ("default", _default(plan)),
            ("settings", ", ".join(f"{it.name} = {it.after} (was {it.before})" for it in plan.settings)),
        ]
    )


def show_entries(plan: Plan) -> None:
    """Print the rules whose entries change, how many entries that are, and each of them."""
    _show_rules(rule_changes(plan))
    _show_counts(plan)
    _show_entries(plan.changes, plan)


def _load(plan: Plan) -> str:
    if plan.upgrade:
        return f"program and maps are replaced: {'; '.join(plan.upgrade)}"
    return "the program is compiled, verified and loaded, the maps are made" if plan.load else ""


def rule_changes(plan: Plan) -> list[RuleChange]:
    """Return what happens to the rules, in the order of the text, the deleted ones at their old place."""
    before: dict[int, bytes] = {}
    after: dict[int, bytes] = {}
    for change in plan.changes:
        if change.map is PolicyMap.POLICY:
            for side, value in ((before, change.before), (after, change.after)):
                if value is not None and (rule_id := decode_policy_value(value)[1]):
                    side[rule_id] = value
    found = [
        RuleChange(
            _kind(rule_id in before, rule_id in after),
            rule_id,
            (plan.names if rule_id in after else plan.old_names).rules.get(rule_id),
            _detail(before.get(rule_id), after.get(rule_id)),
        )
        for rule_id in sorted(before.keys() | after.keys())
    ]
    return sorted(found, key=lambda it: (it.rule.path, it.rule.line) if it.rule else ("", 0))


def totals(plan: Plan) -> tuple[int, int, int]:
    """Return how many entries are created, updated and deleted in all maps."""
    created, updated, deleted = (sum(column) for column in zip(*plan.counts().values(), strict=True))
    return created, updated, deleted


def default_words(config: SlotConfig) -> str:
    """Return a default verdict, such as `deny, logged`."""
    assert config.default_verdict is not None, "a staged slot has a default"
    logged = ", logged" if config.default_flags & EntryFlag.LOG else ""
    return f"{config.default_verdict.name.lower()}{logged}"


def _kind(was: bool, will_be: bool) -> Kind:  # noqa: FBT001  two facts of one rule
    if was and will_be:
        return Kind.UPDATE
    return Kind.CREATE if will_be else Kind.DELETE


def _detail(before: bytes | None, after: bytes | None) -> str:
    if before is None or after is None:
        return ""
    old, new = policy_value(before), policy_value(after)
    parts = []
    if old[1] is not new[1]:
        parts.append(f"{old[1].name.lower()} => {new[1].name.lower()}")
    if old[2] is not new[2]:
        parts.append("logged" if new[2] else "no longer logged")
    if old[0] != new[0]:
        parts.append(f"precedence {old[0]} => {new[0]}")
    return ", ".join(parts) or "other sets or services"


def _default(plan: Plan) -> str:
    if plan.default is None:
        return ""
    after = default_words(plan.default.after)
    if plan.default.before is None:
        return after
    before = default_words(plan.default.before)
    return f"{before} => {after}" if before != after else "as before; source ports come into use or go"


def _show_rules(changes: list[RuleChange]) -> None:
    if not changes:
        return
    terminal.say()
    terminal.say("Rules", bold=True)
    shown = changes[:SHOWN_RULES]
    width = max(len(change.text) for change in shown)
    for change in shown:
        place = change.rule.place if change.rule else ""
        if change.kind is Kind.DELETE and place:
            place = f"was {place}"
        line = f"  {change.kind.value} {change.text:<{width}}  {place}"
        terminal.say(line + (f"  ({change.detail})" if change.detail else ""), fg=COLORS[change.kind])
    if len(changes) > len(shown):
        terminal.say(f"  ... and {len(changes) - len(shown)} more; --format json has them all")


def _show_counts(plan: Plan) -> None:
    counts = {name: each for name, each in plan.counts().items() if each.total}
    if not counts:
        return
    terminal.say()
    align = (Align.LEFT, Align.RIGHT, Align.RIGHT, Align.RIGHT)
    rows = [(TITLES[name], *(str(number) for number in each)) for name, each in counts.items()]
    terminal.table(("Map entries", "create", "update", "delete"), rows, align)


def _show_entries(changes: Iterable[Change], plan: Plan) -> None:
    terminal.say()
    terminal.say("Entries", bold=True)
    for change in changes:
        line = f"  {change.kind.value} {TITLES[change.map]}: {describe(change, plan)}"
        rule = plan.rule_of(change)
        terminal.say(line + (f"  ({rule.place})" if rule and rule.place else ""), fg=COLORS[change.kind])
