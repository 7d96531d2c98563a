"""From the parser's reductions to the syntax tree: one method for each rule of the grammar.

Each gets the children of its rule, all words included: Words, nodes, and None for an optional part that isn't
there. Methods are looked up by the rule's name.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from microseg.lang import ast
from microseg.lang.ast import Operator, OptionName, Word
from microseg.policy.rules import Action

if TYPE_CHECKING:
    from microseg.source import Span

Children: TypeAlias = list[Any]
_BINARY = {operator.value: operator for operator in Operator}
_BOTH_WAYS = "<->"


@dataclass(frozen=True, slots=True)
class _Enclosed:
    """An operand in parentheses of its own, until it gets its place: they belong to what is around it.

    Attributes:
        node: the operand, with its own span.
        span: the parentheses and what is in them.

    """

    node: ast.Addresses
    span: Span


class TreeBuilder:
    """Makes the nodes. It has no state: a reduction depends on its children alone."""

    def start(self, children: Children) -> tuple[ast.Statement, ...]:
        """Return the statements of the file."""
        return tuple(children)

    # Statements.

    def group(self, children: Children) -> ast.Group:
        """`group NAME = addresses`."""
        word, name, _, addresses = children
        return ast.Group(name, _bare(addresses), word.span.to(addresses.span))

    def service(self, children: Children) -> ast.Service:
        """`service NAME = services`."""
        word, name, _, services = children
        return ast.Service(name, services, word.span.to(services.span))

    def policy(self, children: Children) -> ast.Policy:
        """`policy NAME policy_option* { policy_item* }`."""
        options = tuple(child for child in children if isinstance(child, ast.Option))
        rules = tuple(child for child in children if isinstance(child, ast.Rule))
        return ast.Policy(children[1], options, rules, _span(children))

    def default(self, children: Children) -> ast.Default:
        """`default action [log]`."""
        word, action, log = children
        return ast.Default(Action(action.text), log is not None, word.span.to((log or action).span))

    def protect(self, children: Children) -> ast.Protect:
        """`protect NAME from addresses [: services]`."""
        word, name, _, src, _, services = children
        return ast.Protect(name, _bare(src), services, word.span.to((services or src).span))

    def test(self, children: Children) -> ast.Test:
        """`test STRING { expectation* }`."""
        _, name, _, *expectations, _ = children
        return ast.Test(name, tuple(expectations), _span(children))

    # The inside of policies and tests.

    def priority(self, children: Children) -> ast.Option:
        """`priority NUMBER`."""
        return ast.Option(OptionName.PRIORITY, children[1], _span(children))

    def mode(self, children: Children) -> ast.Option:
        """`mode audit` or `mode enforce`."""
        return ast.Option(OptionName.MODE, children[1], _span(children))

    def owner(self, children: Children) -> ast.Option:
        """`owner STRING`."""
        return ast.Option(OptionName.OWNER, children[1], _span(children))

    def rule(self, children: Children) -> ast.Rule:
        """Return a rule: `action flow clause*`."""
        action, flow, *clauses = children
        last = clauses[-1] if clauses else flow
        return ast.Rule(Action(action.text), flow, tuple(clauses), action.span.to(last.span))

    def flow(self, children: Children) -> ast.Flow:
        """`addresses arrow addresses [: services]`."""
        src, arrow, dst, _, services = children
        span = src.span.to((services or dst).span)
        return ast.Flow(_bare(src), _bare(dst), arrow.text == _BOTH_WAYS, services, span)

    def log(self, children: Children) -> ast.Log:
        """`log`."""
        return ast.Log(children[0].span)

    def expires(self, children: Children) -> ast.Expires:
        """`expires DATE`."""
        return ast.Expires(children[1], _span(children))

    def remark(self, children: Children) -> ast.Remark:
        """Text in quotes."""
        return ast.Remark(children[0], children[0].span)

    def expectation(self, children: Children) -> ast.Expectation:
        """`expect [some] action flow`."""
        word, some, action, flow = children
        return ast.Expectation(some is not None, Action(action.text), flow, word.span.to(flow.span))

    # Sets of addresses.

    def addresses(self, children: Children) -> ast.Addresses | _Enclosed:
        """`chain, chain, ...`, perhaps with a trailing comma."""
        return _operation(children[:-1] if isinstance(children[-1], Word) else children)

    def chain(self, children: Children) -> ast.Addresses | _Enclosed:
        """`product | product - product ...`."""
        return _operation(children)

    def product(self, children: Children) -> ast.Addresses | _Enclosed:
        """`factor & factor ...`."""
        return _operation(children)

    def complement(self, children: Children) -> ast.Complement:
        """`! factor`."""
        return ast.Complement(_bare(children[1]), _span(children))

    def group_name(self, children: Children) -> ast.GroupName:
        """`NAME` of a group."""
        return ast.GroupName(children[0].text, children[0].span)

    def address(self, children: Children) -> ast.Address:
        """`ADDRESS`, single or a CIDR."""
        return ast.Address(children[0].text, children[0].span)

    def address_range(self, children: Children) -> ast.AddressRange:
        """`ADDRESS - ADDRESS`."""
        first, last = (ast.Address(word.text, word.span) for word in children[::2])
        return ast.AddressRange(first, last, _span(children))

    def anything(self, children: Children) -> ast.Anything:
        """`any`, `any4` or `any6`."""
        return ast.Anything(ast.AnyAddress(children[0].text), children[0].span)

    def list_file(self, children: Children) -> ast.ListFile:
        """`file ( STRING )`."""
        return ast.ListFile(children[2], _span(children))

    def parentheses(self, children: Children) -> ast.Addresses | _Enclosed:
        """`( addresses )`: the tree's shape says where they are needed; an operation's span has them."""
        inner, span = _bare(children[1]), _span(children)
        return replace(inner, span=span) if isinstance(inner, ast.Operation) else _Enclosed(inner, span)

    # Services.

    def services(self, children: Children) -> ast.Services:
        """`service_term, service_term, ...`, perhaps with a trailing comma."""
        terms = tuple(children[::2])
        return ast.Services(terms, terms[0].span.to(terms[-1].span))

    def any_service(self, children: Children) -> ast.AnyService:
        """`any`."""
        return ast.AnyService(children[0].span)

    def service_name(self, children: Children) -> ast.ServiceName:
        """`NAME` of a service or of a protocol."""
        return ast.ServiceName(children[0].text, children[0].span)

    def sourced(self, children: Children) -> ast.ProtocolService:
        """`NAME source`."""
        name, source = children
        return ast.ProtocolService(name, None, source, name.span.to(source.span))

    def protocol(self, children: Children) -> ast.ProtocolService:
        """`NAME / selector [source]`."""
        name, _, selector, source = children
        return ast.ProtocolService(name, selector, source, name.span.to((source or selector).span))

    def source(self, children: Children) -> ast.Ports:
        """`from ports`."""
        ports: ast.Ports = children[1]
        return ports

    def icmp_type(self, children: Children) -> ast.IcmpType:
        """`type` or `type / code`."""
        code = children[2] if len(children) > 1 else None
        return ast.IcmpType(children[0], code, _span(children))

    def ports(self, children: Children) -> ast.Ports:
        """Return a range of one number or more: `NUMBER` or `NUMBER - NUMBER`."""
        first, _, last = children
        return ast.Ports(first, last or first, first.span.to((last or first).span))


def _operation(children: Children) -> ast.Addresses | _Enclosed:
    if len(children) == 1:
        alone: ast.Addresses | _Enclosed = children[0]
        return alone
    operators = tuple(_BINARY[sign.text] for sign in children[1::2])
    return ast.Operation(tuple(map(_bare, children[::2])), operators, _span(children))


def _bare(child: ast.Addresses | _Enclosed) -> ast.Addresses:
    return child.node if isinstance(child, _Enclosed) else child


def _span(children: Children) -> Span:
    whole: Span = children[0].span.to(children[-1].span)
    return whole
