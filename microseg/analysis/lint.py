"""What a careful reviewer would say about the meaning of a policy that is valid."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from microseg.analysis import breadth, protection, redundancy, shadowing
from microseg.analysis.labels import cause
from microseg.analysis.taste import DEFAULT_OPTIONS, Options
from microseg.diagnostics import Code, Diagnostic, Label

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from microseg.analysis.book import Book
    from microseg.analysis.breadth import Broad
    from microseg.analysis.protection import Cut
    from microseg.analysis.redundancy import Redundant
    from microseg.analysis.shadowing import Shadowed
    from microseg.policy.rules import OrderedRule

_SHOWN = 4
"""At most so many other rules are pointed at."""


def findings(book: Book, options: Options = DEFAULT_OPTIONS) -> list[Diagnostic]:
    """Return what there is to remark; the book has to know what `protection.spoken_of` yields.

    All that is said to be shadowed, pointless or redundant can go, any of it or all at once, and no packet
    gets anything else.
    """
    shadowed = shadowing.find(book)
    gone = {each.rule for each in shadowed}
    deciding = [book.rules[number] for number, boxes in enumerate(book.boxes) if boxes and number not in gone]
    wanted = partial(_is_worth_it, book, options)
    pointless = redundancy.find_policies(book, gone, wanted)
    gone |= {number for each in pointless for number in each.rules}
    redundant = redundancy.find(book, gone, wanted)
    return [
        *(_shadowed(book, each) for each in shadowed),
        *(_pointless(book, each) for each in pointless),
        *(_redundant(book, each) for each in redundant),
        *(_broad(each) for each in breadth.find(deciding, options.too_open)),
        *(_refused(each) for each in protection.refused_everywhere(book)),
    ]


def _is_worth_it(book: Book, options: Options, found: Redundant) -> bool:
    return options.repeated_default or not found.default or book.default_outcome.verdict.passes


def _shadowed(book: Book, found: Shadowed) -> Diagnostic:
    mine = book.rules[found.rule]
    others = [book.rules[number] for number in found.by]
    if len(others) == 1 and _is_same(mine, others[0]):
        return Diagnostic.of(
            Code.DUPLICATE_RULE,
            mine.rule.span,
            "this rule stands here twice",
            Label(others[0].rule.span, "here for the first time"),
            help="delete one of them",
        )
    message = (
        "this rule never matches: an earlier rule decides every packet it could"
        if len(others) == 1
        else f"this rule never matches: {len(others)} earlier rules together decide every packet it could"
    )
    share = "all" if len(others) == 1 else "some"
    labels = _labels(others, lambda other: f"this one says {other.rule.action.value} to {share} of them")
    return Diagnostic.of(Code.SHADOWED_RULE, mine.rule.span, message, *labels, help=_advice(mine, others))


def _advice(mine: OrderedRule, others: Sequence[OrderedRule]) -> str:
    if all(other.rule.action is mine.rule.action for other in others):
        return "delete it"
    if any(other.policy.name != mine.policy.name for other in others):
        return f"delete it, or give policy `{mine.policy.name}` a lower priority number"
    return f"move it above line {others[0].rule.span.line}, or delete it"


def _is_same(mine: OrderedRule, other: OrderedRule) -> bool:
    return mine.policy.name == other.policy.name and mine.rule.canonical() == other.rule.canonical()


def _redundant(book: Book, found: Redundant) -> Diagnostic:
    rule = book.rules[found.rules[0]].rule
    if found.default:
        span = book.ruleset.default.span
        return Diagnostic.of(
            Code.REPEATED_DEFAULT,
            rule.span,
            "without this rule every packet would get the same, from the default",
            *([Label(span, "the default does the same")] if span else []),
            help="delete it",
        )
    others = [book.rules[number] for number in found.instead]
    return Diagnostic.of(
        Code.REDUNDANT_RULE,
        rule.span,
        "without this rule every packet would get the same, from later rules",
        *_labels(others, lambda _: "this rule does the same"),
        help="delete it",
    )


def _pointless(book: Book, found: Redundant) -> Diagnostic:
    policy = book.rules[found.rules[0]].policy
    others = [book.rules[number] for number in found.instead]
    default = book.ruleset.default.span if found.default else None
    return Diagnostic.of(
        Code.POINTLESS_POLICY,
        policy.span,
        f"without policy `{policy.name}` every packet would get the same",
        *_labels(others, lambda _: "this rule does the same"),
        *([Label(default, "the default does the same")] if default else []),
        help="delete it, or give it a priority and rules that make a difference",
    )


def _broad(found: Broad) -> Diagnostic:
    return Diagnostic.of(
        Code.BROAD_ALLOW,
        found.rule.rule.span,
        f"this rule allows {' and '.join(side.value for side in found.sides)}",
        help="name the addresses and services that need it",
    )


def _refused(found: Cut) -> Diagnostic:
    protect = found.protect
    return Diagnostic.of(
        Code.PROTECT_REFUSED,
        protect.span,
        f"no host gets all of this traffic: {found.packet} is refused",
        *cause(found.decider),
        help=f"put `allow {protect.src.name} -> any : {protect.service.name}` in front of what refuses it",
    )


def _labels(others: Sequence[OrderedRule], text: Callable[[OrderedRule], str]) -> list[Label]:
    """Return labels on the first of some rules, the last of them telling how many more there are."""
    labels = [Label(other.rule.span, text(other)) for other in others[:_SHOWN]]
    more = len(others) - len(labels)
    if more:
        last = labels[-1]
        labels[-1] = Label(last.span, f"{last.text} (and {more} more)")
    return labels
