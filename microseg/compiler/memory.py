"""What earlier compilations worked out: a commit that changes one file costs about that file.

Everything here is the value of a pure function, kept by all that it depends on, so a compilation with a
memory and one without give the same. It holds what was asked for since it was last aged, and before that: who
compiles again and again ages it in between.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from microseg.compiler.checks import Remarks
from microseg.compiler.containment import Services, Sets
from microseg.compiler.drafts import earlier
from microseg.compiler.numbering import Numbering
from microseg.memo import Each, Last, Memo
from microseg.tables import Union

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from microseg.compiler.drafts import Block, Draft
    from microseg.compiler.expressions import Meanings, Statement
    from microseg.compiler.image import PolicyEntry, PolicyKey
    from microseg.compiler.precedence import Leg
    from microseg.compiler.references import Named, References
    from microseg.lang import ast
    from microseg.lang.files import ParsedFile, Text
    from microseg.policy.addresses import AddressSet
    from microseg.policy.rules import Policy
    from microseg.policy.services import ServiceSet


Value = TypeVar("Value")


def _any(one: Value, _: Value) -> Value:
    return one


class Kinds(NamedTuple):
    """The statements of a file by their kind."""

    groups: Sequence[ast.Group]
    services: Sequence[ast.Service]
    policies: Sequence[ast.Policy]
    protects: Sequence[ast.Protect]
    tests: Sequence[ast.Test]
    defaults: Sequence[ast.Default]


class Defined(NamedTuple):
    """All groups and services, with which nothing is wrong, and the same by name."""

    groups: Sequence[ast.Group]
    services: Sequence[ast.Service]
    group_names: dict[str, ast.Group]
    service_names: dict[str, ast.Service]


class ById(NamedTuple, Generic[Value]):
    """What names stand for, and the names, by their ids."""

    values: Mapping[int, Value]
    names: Mapping[int, str]


@dataclass(slots=True)
class Joined:
    """What all policies have together.

    Attributes:
        sets, services: what the names of each stand for.
        set_ids, service_ids, rule_ids: the ids that names get, unless another is in the way.
        legs: the lines by ids.
        rules: the entries, and of pairs.

    """

    sets: Union[str, AddressSet] = field(default_factory=lambda: Union(_any))
    services: Union[str, ServiceSet] = field(default_factory=lambda: Union(_any))
    set_ids: Union[str, int] = field(default_factory=lambda: Union(_any))
    service_ids: Union[str, int] = field(default_factory=lambda: Union(_any))
    rule_ids: Union[str, int] = field(default_factory=lambda: Union(_any))
    legs: Union[Leg, bool] = field(default_factory=lambda: Union(_any))
    rules: Union[PolicyKey, PolicyEntry] = field(default_factory=lambda: Union(earlier))


@dataclass(slots=True)
class Memory:
    """What is kept between compilations.

    Attributes:
        texts: the text of each file's content.
        files: what each file's text parses to.
        kinds: the statements of each file.
        defined: what gives names to groups and services; None if something was wrong.
        lists: what each address list stands for; only of those nothing is said about.
        definitions: what each group and service stood for; only of those nothing is said about. It is aged
            by who works them out.
        meanings: what all of them stood for, if nothing was wrong with any.
        named: the groups and services that statements name.
        statements: what each policy or test stood for; as of definitions.
        sets: what each group stood for.
        services: what each service stood for.
        remarks: what there is to say about a file, or a policy by itself.
        active: each policy without what has expired.
        drafts, blocks, entries: each policy, on its way to entries.
        shortened: blocks without what others repeat.
        joined: what all of them have together.
        set_numbers, service_numbers: sets, and services, by their ids.
        set_tables, service_tables: the tables of all sets, and of all services.
        numbering: the precedences of each policy.

    """

    texts: Memo[Text] = field(default_factory=Memo)
    files: Memo[ParsedFile] = field(default_factory=Memo)
    kinds: Each[ast.File, Kinds] = field(default_factory=Each)
    defined: Defined | None = None
    lists: Memo[AddressSet] = field(default_factory=Memo)
    definitions: Memo[Statement] = field(default_factory=Memo)
    meanings: Meanings | None = None
    named: Last[Sequence[References], Named] = field(default_factory=Last)
    statements: Memo[Statement] = field(default_factory=Memo)
    sets: Mapping[str, AddressSet] = field(default_factory=dict)
    services: Mapping[str, ServiceSet] = field(default_factory=dict)
    remarks: Remarks = field(default_factory=Remarks)
    active: Each[Policy, Policy] = field(default_factory=Each)
    drafts: Each[Policy, Draft] = field(default_factory=Each)
    blocks: Each[Draft, Block] = field(default_factory=Each)
    shortened: Memo[Block] = field(default_factory=Memo)
    set_numbers: Memo[ById[AddressSet]] = field(default_factory=Memo)
    service_numbers: Memo[ById[ServiceSet]] = field(default_factory=Memo)
    set_tables: Sets = field(default_factory=Sets)
    service_tables: Services = field(default_factory=Services)
    numbering: Numbering = field(default_factory=Numbering)
    entries: Memo[Mapping[PolicyKey, PolicyEntry]] = field(default_factory=Memo)
    joined: Joined = field(default_factory=Joined)

    def age(self) -> None:
        """Forget what wasn't asked for since the last time."""
        for memo in (
            self.texts,
            self.files,
            self.lists,
            self.statements,
            self.shortened,
            self.entries,
            self.set_numbers,
            self.service_numbers,
        ):
            memo.age()
