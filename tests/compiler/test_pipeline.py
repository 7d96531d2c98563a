"""The whole way from text to an image: the same bytes everywhere, small changes for small edits."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from datetime import date
from random import Random

import pytest
from random_policies import packets, policy_text

from microseg import abi
from microseg.abi import PolicyMap
from microseg.compiler.interpret import search
from microseg.compiler.pipeline import Compilation, compile_tree
from microseg.diagnostics import Code
from microseg.policy.evaluate import evaluate
from microseg.policy.rules import OrderedRule
from microseg.source import MemoryTree

TODAY = date(2026, 1, 1)

COMPILE_AND_PRINT = """
import sys
from datetime import date
from microseg import abi
from microseg.compiler.pipeline import compile_tree
from microseg.source import MemoryTree
image = compile_tree(MemoryTree({"a.mseg": sys.stdin.buffer.read()}), date(2026, 1, 1)).image
contents = abi.encode(image)
for entries in contents.maps.values():
    for key, value in entries.items():
        sys.stdout.buffer.write(key + value)
sys.stdout.buffer.write(contents.config.to_bytes())
"""


def compiled(**files: str) -> Compilation:
    tree = MemoryTree({f"{name}.mseg": text.encode() for name, text in files.items()})
    return compile_tree(tree, TODAY)


def encoded(**files: str) -> abi.SlotContents:
    compilation = compiled(**files)
    assert compilation.image, compilation.diagnostics
    return abi.encode(compilation.image)


def codes(compilation: Compilation) -> list[Code]:
    return [diagnostic.code for diagnostic in compilation.diagnostics if diagnostic.is_error]


def changes(before: abi.SlotContents, after: abi.SlotContents) -> dict[PolicyMap, int]:
    """Return how many entries of each map are created, altered or deleted."""
    return {
        name: sum(
            before.maps[name].get(key) != after.maps[name].get(key)
            for key in before.maps[name].keys() | after.maps[name].keys()
        )
        for name in PolicyMap
    }


@pytest.mark.parametrize("seed", range(100))
def test_the_image_decides_what_the_evaluator_decides(seed: int) -> None:
    rng = Random(seed)
    compilation = compiled(a=policy_text(rng))
    image = compilation.image
    assert image, compilation.diagnostics
    for packet in packets(rng, compilation.ruleset, 30):
        decision = evaluate(compilation.ruleset, packet)
        found = search(image, packet)
        decider = decision.decider
        span = decider.rule.span if isinstance(decider, OrderedRule) else decider.span
        assert (found.verdict, found.log) == (decision.verdict, decision.log), packet
        assert image.origins[found.rule_id].span == span, packet


@pytest.mark.parametrize("seed", range(20))
def test_the_order_of_files_and_statements_has_no_meaning(seed: int) -> None:
    statements = statements_of(policy_text(Random(seed)))
    whole = encoded(a="\n".join(statements))
    Random(seed + 1).shuffle(statements)
    half = len(statements) // 2
    assert encoded(z="\n".join(statements[:half]), a="\n".join(statements[half:])) == whole
    assert encoded(a="\n".join(statements[:half]), z="\n".join(statements[half:])) == whole


def statements_of(text: str) -> list[str]:
    statements: list[str] = []
    for line in text.splitlines():
        if line.startswith((" ", "}")):
            statements[-1] += "\n" + line
        else:
            statements.append(line)
    return statements


def test_two_processes_with_different_hash_seeds_make_the_same_bytes() -> None:
    text = "\n".join(policy_text(Random(7)).splitlines()).encode()
    digests = set()
    for seed in ("0", "1", "12345"):
        environment = os.environ | {"PYTHONHASHSEED": seed}
        made = subprocess.run(
            [sys.executable, "-c", COMPILE_AND_PRINT],
            input=text,
            env=environment,
            capture_output=True,
            check=True,
        )
        assert len(made.stdout) > 1000
        digests.add(hashlib.sha256(made.stdout).digest())
    assert len(digests) == 1


def large_policy(extra: str = "", *, after: int = 500) -> str:
    """Return 1,000 rules between 40 groups, with one more rule behind one of them."""
    groups = [f"group g{i} = 10.0.{i}.0/24, 2001:db8:{i:x}::/48" for i in range(40)]
    rules = [f"  allow g{i % 40} -> g{i // 40} : tcp/{1000 + i % 7}" for i in range(1000)]
    rules.insert(after, extra)
    return "\n".join([*groups, "policy big {", *rules, "}"])


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        # A new service between known groups: its entry (the pair is there already), one port.
        ("  allow g3 -> g5 : tcp/9999", {PolicyMap.POLICY: 1, PolicyMap.SERVICE: 1}),
        # Known services between groups that had nothing to do with each other: the entry and its pair.
        ("  allow g3 -> g30 : tcp/1000", {PolicyMap.POLICY: 2}),
        # A new host inside a known group: one address and, with the pair, two entries.
        ("  deny 10.0.3.7 -> g5 : tcp/1000", {PolicyMap.IPCACHE4: 1, PolicyMap.POLICY: 2}),
    ],
)
def test_one_rule_more_changes_a_handful_of_entries(rule: str, expected: dict[PolicyMap, int]) -> None:
    before, after = encoded(a=large_policy()), encoded(a=large_policy(rule))
    changed = {name: count for name, count in changes(before, after).items() if count}
    assert before.entry_count() > 1000
    assert changed == expected
    assert sum(changed.values()) <= 3


def test_comments_blanks_and_spellings_change_nothing() -> None:
    plain = "group web = 10.0.0.0/24, 10.0.1.1\npolicy p { allow web -> 10.1.0.1 : tcp/80, tcp/443 }"
    dressed = (
        "# who may what\ngroup web =\n  10.0.1.1,  # the odd one\n  10.0.0.0/24,\n\n"
        'policy p owner "me" { allow web -> 10.1.0.1/32 : tcp/443, tcp/80 "launch" }'
    ).replace(' owner "me"', "")
    assert encoded(a=plain) == encoded(a=dressed)


def test_an_expired_rule_leaves_the_image_and_nothing_else_changes() -> None:
    kept = "policy p { allow 10.0.0.1 -> any : tcp/80 }"
    with_expired = "policy p { allow 10.0.0.1 -> any : tcp/80 allow 10.0.0.2 -> any expires 2025-12-31 }"
    assert encoded(a=kept) == encoded(a=with_expired)


def nested_groups(count: int) -> str:
    """Return a policy whose sets all contain 10.0.0.1."""
    rules = "\n".join(f"  allow 10.0.0.0/{32 - i} -> 192.0.2.{i} : tcp/{i + 1}" for i in range(1, count + 1))
    return f"policy p {{\n{rules}\n}}"


def test_sixteen_sets_over_one_address_fit_and_seventeen_do_not() -> None:
    assert compiled(a=nested_groups(16)).image
    refused = compiled(a=nested_groups(17))
    assert refused.image is None
    (error,) = [diagnostic for diagnostic in refused.diagnostics if diagnostic.is_error]
    assert error.code is Code.TOO_MANY_SETS
    assert "17 sets contain 10.0.0.0/31" in error.message
    assert error.span.line == 18
    assert error.help


def test_too_many_services_over_one_port() -> None:
    rules = "\n".join(f"  allow 10.0.0.{i} -> any : tcp/0-{1000 + i}" for i in range(1, 40))
    refused = compiled(a=f"policy p {{\n{rules}\n}}")
    assert codes(refused) == [Code.TOO_MANY_SERVICES]
    assert "39 services" in refused.diagnostics[-1].message


def test_a_search_that_could_take_too_many_probes() -> None:
    sources = [f"10.0.0.0/{30 - i}" for i in range(15)]
    destinations = [f"10.1.0.0/{30 - i}" for i in range(15)]
    services = [f"tcp/0-{1000 + i}" for i in range(20)]
    rules = [
        f"  allow {src} -> {dst} : {services[(i + j) % 20]}"
        for i, src in enumerate(sources)
        for j, dst in enumerate(destinations)
    ]
    refused = compiled(a="policy p {\n" + "\n".join(rules) + "\n}")
    assert codes(refused) == [Code.SEARCH_TOO_LONG]


def test_a_map_too_small_is_named_with_what_fills_it() -> None:
    tree = MemoryTree({"a.mseg": large_policy().encode()})
    roomy = dict.fromkeys(PolicyMap, 100_000)
    assert compile_tree(tree, TODAY, capacities=roomy).image
    refused = compile_tree(tree, TODAY, capacities=roomy | {PolicyMap.POLICY: 500})
    assert refused.image is None
    (error,) = [diagnostic for diagnostic in refused.diagnostics if diagnostic.is_error]
    assert error.code is Code.MAP_TOO_SMALL
    assert "policy big" in error.message
    assert "`rules = " in error.help


def test_an_error_anywhere_means_no_image_and_everything_is_reported() -> None:
    compilation = compiled(
        a="group web = 10.0.0.300\npolicy p { allow nobody -> web : tcp/80 }",
        b="group x = y\ngroup y = x\npolicy q { allow any -> any : tcp/70000",
        c='group z = file("../secret")',
    )
    assert compilation.image is None
    assert {Code.BAD_ADDRESS, Code.GROUP_CYCLE, Code.LIST_FILE, Code.UNCLOSED} <= set(codes(compilation))
    assert Code.UNKNOWN_GROUP in codes(compilation)
