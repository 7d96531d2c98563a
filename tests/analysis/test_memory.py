"""With a memory of earlier policies everything comes out as without one, whatever was changed in between."""

from __future__ import annotations

from datetime import date
from ipaddress import ip_address
from random import Random
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microseg import tables
from microseg.abi import Encoder, PolicyMap, encode
from microseg.analysis.examine import examine
from microseg.analysis.memory import Memory
from microseg.memo import Each
from microseg.policy.addresses import ANY_ADDRESS
from microseg.policy.packet import Packet
from microseg.reconcile import proving
from microseg.reconcile.desired import Attributions, names_of
from microseg.reconcile.safeguards import Kept, Lifelines
from microseg.source import MemoryTree

FILES = ("a.mseg", "b.mseg", "lists/c.mseg")
DAYS = st.sampled_from([date(2026, 6, 1), date(2026, 6, 2)])
GROUPS = [f"g{number}" for number in range(4)]
SERVICES = [f"s{number}" for number in range(3)]
LIFELINES = Lifelines(
    (Kept("a session", Packet(ip_address("10.1.0.1"), ip_address("10.1.0.5"), 6, 80)),), ANY_ADDRESS
)
ODD = (
    "group g0 = 10.9.0.0/16",
    "group none = g0 - g0",
    "group alone = 10.1.0.0/30 - 10.1.0.0/16",
    'group listed = file("addresses.txt")',
    "allow g0 -> any",
    "polcy x {",
    "default allow log",
    "service s0 = tcp/9",
    "# microseg: ignore MS103, MS301",
    "policy empty {}",
    "policy extra { deny any -> 10.1.0.5 : tcp/80 allow listed -> g1 }",
    "policy extra priority 5 { deny listed -> g1 : udp/53 expires 2026-06-01 }",
    "policy twin { allow any -> 10.1.0.5 : tcp/80 allow none -> g1 }",
    "protect home from g1 : s1",
)


def addresses(rng: Random) -> str:
    kept = ", ".join(f"10.1.0.{rng.randrange(64)}" for _ in range(rng.randint(1, 3)))
    return f"{kept}, {rng.choice(GROUPS)}" if rng.random() < 0.1 else f"{kept}, 2001:db8::{rng.randrange(9)}"


def rule(rng: Random) -> str:
    src, dst = rng.choice([*GROUPS, "any"]), rng.choice([*GROUPS, f"10.1.0.{rng.randrange(64)}"])
    service = rng.choice([*SERVICES, "any", f"tcp/{rng.choice((80, 443))}", "udp/53 from 53"])
    action, arrow = rng.choice(["allow", "allow", "deny", "reject"]), rng.choice(["->", "->", "<->"])
    return f"  {action} {src} {arrow} {dst} : {service}{rng.choice(['', '', ' log'])}"


def statement(rng: Random) -> str:
    """Return a statement; there may be another of its name."""
    match rng.randrange(8):
        case 0 | 1:
            return f"group {rng.choice(GROUPS)} = {addresses(rng)}"
        case 2:
            return f"service {rng.choice(SERVICES)} = tcp/{rng.randrange(99)}, udp/53 from 53"
        case 3:
            claim = f"{rng.choice(['', 'some '])}{rng.choice(['allow', 'deny'])} {rng.choice(GROUPS)} -> any"
            return f'test "t{rng.randrange(4)}" {{ expect {claim} : tcp/80 }}'
        case 4:
            return rng.choice(ODD)
        case _:
            head = f"policy p{rng.randrange(6)} priority {rng.choice([10, 20, 30])}"
            return "\n".join([f"{head} {{", *(rule(rng) for _ in range(rng.randint(1, 5))), "}"])


def first(rng: Random) -> dict[str, list[str]]:
    """Return a directory in which every name is defined, as statements of its files."""
    files: dict[str, list[str]] = {path: [] for path in FILES}
    files["a.mseg"] += [f"group {name} = {addresses(rng)}" for name in GROUPS]
    files["a.mseg"] += [f"service {name} = tcp/{80 + at}" for at, name in enumerate(SERVICES)]
    for at in range(rng.randint(1, 5)):
        lines = [rule(rng) for _ in range(rng.randint(1, 6))]
        head = f"policy p{at} priority {rng.choice([at, at, 10])} {{"
        files[rng.choice(FILES)].append("\n".join([head, *lines, "}"]))
    claims = [
        f"{rng.choice(('allow', 'deny'))} {rng.choice(GROUPS)} -> {rng.choice(GROUPS)}" for _ in range(6)
    ]
    tests = [f'test "{number}" {{ expect {claim} : tcp/80 }}' for number, claim in enumerate(claims)]
    tried = examine(tree_of({**files, "t.mseg": tests}, rng), date(2026, 6, 1)).failures
    failed = {each.message.split('"')[1] for each in tried}
    files["b.mseg"] += [test for number, test in enumerate(tests) if str(number) not in failed]
    return files


def change(rng: Random, files: dict[str, list[str]]) -> None:
    """Change one thing, as people do: a line, a statement, or where one stands."""
    statements = files[rng.choice(FILES)]
    at = rng.randrange(len(statements)) if statements else 0
    lines = statements[at].split("\n") if statements else []
    match rng.randrange(8):
        case 0:
            statements.insert(at, statement(rng))
        case 6 | 7:
            at = rng.randrange(len(GROUPS) + len(SERVICES))
            known = [number for number, each in enumerate(files["a.mseg"]) if each.startswith(("gro", "ser"))]
            redefine(rng, files["a.mseg"], known[at % len(known)] if known else 0)
        case 1 if statements:
            files[rng.choice(FILES)].append(statements.pop(at))
        case 2 if statements:
            del statements[at]
        case 3 if len(lines) > 2:
            del lines[rng.randrange(1, len(lines) - 1)]
            statements[at] = "\n".join(lines)
        case _ if len(lines) > 2:
            lines.insert(rng.randrange(1, len(lines)), rule(rng))
            statements[at] = "\n".join(lines)
        case _:
            statements.append("# a remark")


def redefine(rng: Random, statements: list[str], at: int) -> None:
    """Give a group or a service another meaning, which rules in other files have then as well."""
    if statements:
        name, sign, _ = statements[at].partition(" = ")
        value = addresses(rng) if name.startswith("group") else f"tcp/{rng.choice((80, 81, 443))}"
        statements[at] = f"{name}{sign}{value}" if sign else statements[at]


def tree_of(files: dict[str, list[str]], rng: Random) -> MemoryTree:
    texts = {path: "\n".join(statements).encode() for path, statements in files.items()}
    return MemoryTree(texts | {"addresses.txt": rng.choice([b"10.1.0.7\n", b"10.1.0.7\n10.1.0.7\n"])})


class Warm:
    """Everything that remembers."""

    def __init__(self) -> None:
        self.memory = Memory()
        self.encoder = Encoder()
        self.attributions: Attributions = Each()


def compare(warm: Warm, tree: MemoryTree, today: date, *, audit: bool) -> bool:
    """Examine a directory with and without a memory; say whether it was valid."""
    rooms = dict.fromkeys(PolicyMap, 1000)
    warm.memory.age()
    found = examine(tree, today, audit=audit, capacities=rooms, memory=warm.memory)
    fresh = examine(tree, today, audit=audit, capacities=rooms)
    assert found == fresh
    image, expected = found.compilation.image, fresh.compilation.image
    if image is None or expected is None:
        return False
    contents = warm.encoder.encode(image)
    assert contents == encode(expected)
    names, whole = names_of(image, warm.attributions), names_of(expected)
    assert names == whole
    assert list(names.rules) == list(whole.rules)
    evidence = proving.evidence_of(found.compilation, LIFELINES, warm.memory)
    assert evidence == proving.evidence_of(fresh.compilation, LIFELINES)
    return True


@given(
    st.randoms(use_true_random=False),
    st.lists(st.tuples(DAYS, st.booleans()), max_size=8),
    st.sampled_from([0, tables.MANY]),
)
def test_a_memory_makes_no_difference(rng: Random, turns: list[tuple[date, bool]], many: int) -> None:
    files, warm = first(rng), Warm()
    with patch.object(tables, "MANY", many):  # with 0, what is small is not put together anew either
        compare(warm, tree_of(files, rng), date(2026, 6, 1), audit=False)
        for today, audit in turns:
            for _ in range(rng.randint(0, 2)):
                change(rng, files)
            compare(warm, tree_of(files, rng), today, audit=audit and rng.random() < 0.3)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"l.txt": b"10.0.0.1\n"}, {"l.txt": b"10.0.0.2\n"}),
        ({"b.mseg": b"group other = , x"}, {"b.mseg": b""}),
        ({"b.mseg": b"group other = 10.0.0.1"}, {"b.mseg": b"group other = 10.0.0.2"}),
    ],
    ids=["a list says something else", "a name is no longer lost", "a definition is another"],
)
def test_definitions_that_are_as_before_may_mean_something_else(
    before: dict[str, bytes], after: dict[str, bytes]
) -> None:
    text = b'group listed = file("l.txt")\ngroup more = other, 10.0.0.9\n'
    files = {"a.mseg": text + b"policy p { allow listed -> more }\n", "l.txt": b"10.0.0.3\n"}
    files["b.mseg"] = b"group other = 10.0.0.8"
    warm, today = Warm(), date(2026, 6, 1)
    for given_files in (files | before, files | before, files | after):
        compare(warm, MemoryTree(given_files), today, audit=False)
