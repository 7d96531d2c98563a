"""What a policy decides about some packets, for people and for programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from microseg.analysis import service_text
from microseg.cli import terminal
from microseg.cli.change_json import addresses, packet_object, product_object, responsible_object
from microseg.cli.change_text import SHOWN_EXCEPTIONS, SHOWN_PRODUCTS
from microseg.cli.change_words import SO_FAR, Responsible, responsible, told
from microseg.policy.rules import Verdict
from microseg.reconcile.records import revision_to_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from microseg.analysis.query import Answer, Within
    from microseg.policy.rules import Decider, Expectation
    from microseg.reconcile.revision import Revision

SCHEMA = "microseg-query-1"
SHOWN_RULES = 5

_COLORS = {Verdict.ALLOW: "green", Verdict.DENY: "red", Verdict.REJECT: "red", Verdict.AUDIT: "yellow"}


@dataclass(frozen=True, slots=True)
class Reply:
    """A question and its answers.

    Attributes:
        text: the question as it was typed.
        asked: what it stands for.
        within: the sets and services of rules that all of it is in.
        answers: together they are about all packets that were asked about.
        revision: of the policy.

    """

    text: str
    asked: Expectation
    within: Within
    answers: tuple[Answer, ...]
    revision: Revision | None


def show(reply: Reply) -> None:
    """Print the answers in the order of evaluation."""
    terminal.say(reply.text, bold=True)
    for side, names in (
        ("source", reply.within.src),
        ("target", reply.within.dst),
        ("service", reply.within.service),
    ):
        terminal.say(f"  {side:<9}in {', '.join(names) or 'no set of a rule'}")
    if not reply.answers:
        terminal.say()
        terminal.say("There is no such packet: both ends have to be of one address family.", bold=True)
    for answer in reply.answers:
        _show_answer(answer)


def _show_answer(answer: Answer) -> None:
    outcome = answer.outcome
    verdict = SO_FAR[outcome.verdict].capitalize() + (", logged" if outcome.log else "")
    (rule,) = responsible([answer.decider])
    terminal.say()
    terminal.say(f"{verdict} by {rule}", bold=True, fg=_COLORS[outcome.verdict])
    for part in answer.parts[:SHOWN_PRODUCTS]:
        terminal.say(f"  {told(part.product)}")
        for exception in part.exceptions[:SHOWN_EXCEPTIONS]:
            terminal.say(f"      except   {told(exception)}")
        _more(len(part.exceptions) - SHOWN_EXCEPTIONS, "exception")
        terminal.say(f"      such as  {part.witness}")
    _more(len(answer.parts) - SHOWN_PRODUCTS, "product")
    for number, (other, otherwise) in enumerate(_otherwise(answer)[:SHOWN_RULES]):
        lead = "" if number else "otherwise"
        terminal.say(f"  {lead:<11}{SO_FAR[otherwise]} by {other}")
    _more(len(answer.otherwise) - SHOWN_RULES, "rule")


def _otherwise(answer: Answer) -> list[tuple[Responsible, Verdict]]:
    """Return the rules that would decide some of the packets, were it not for this one."""
    return [(rule, each.verdict) for each in answer.otherwise for rule in responsible([each])]


def _more(number: int, word: str) -> None:
    if number > 0:
        terminal.say(f"      ... and {terminal.count(number, f'more {word}')}; --format json has all")


def as_object(reply: Reply) -> dict[str, Any]:
    """Return it all for JSON."""
    asked, within = reply.asked, reply.within
    return {
        "schema": SCHEMA,
        "question": reply.text,
        "revision": revision_to_json(reply.revision),
        "source": {"sets": list(within.src), "addresses": addresses(asked.src.addresses)},
        "destination": {"sets": list(within.dst), "addresses": addresses(asked.dst.addresses)},
        "service": {"sets": list(within.service), "services": service_text.terms(asked.service.services)},
        "answers": [_answer_object(answer) for answer in reply.answers],
    }


def _answer_object(answer: Answer) -> dict[str, Any]:
    return {
        "verdict": answer.outcome.verdict.name.lower(),
        "log": answer.outcome.log,
        "rule": _rule_object([answer.decider]),
        "parts": [
            {
                "packets": product_object(part.product),
                "except": [product_object(each) for each in part.exceptions],
                "witness": packet_object(part.witness),
            }
            for part in answer.parts
        ],
        "otherwise": [
            {"verdict": verdict.name.lower(), "rule": responsible_object(rule)}
            for rule, verdict in _otherwise(answer)
        ],
    }


def _rule_object(deciders: Sequence[Decider]) -> dict[str, Any]:
    (rule,) = responsible(deciders)
    return responsible_object(rule)
