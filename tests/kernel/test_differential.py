"""The kernel decides what the reference evaluator decides (I4): random policies, packets on their borders.

10,000 (policy, packet) pairs in `make test`, a million in `make test-all` (MICROSEG_TEST_FULL=1).
"""

from __future__ import annotations

from collections import Counter
from datetime import date
from ipaddress import IPv4Address
from random import Random

import pytest
from kernel.laboratory import Laboratory
from long_runs import amount
from random_policies import packets, policy_text
from wire import can_be_sent, frame

from microseg.abi import Root
from microseg.abi_settings import Option, Unasked
from microseg.compiler.ids import assign, rule_names
from microseg.compiler.interpret import search
from microseg.compiler.pipeline import Compilation, compile_tree
from microseg.diagnostics import Code, Severity
from microseg.policy.evaluate import evaluate
from microseg.policy.packet import Packet
from microseg.policy.rules import Decider, OrderedRule, Verdict
from microseg.source import MemoryTree

PAIRS = amount(emulated=2_000, short=10_000, long=1_000_000)
PER_POLICY = amount(emulated=50, short=50, long=250)
TODAY = date(2026, 1, 1)


def compiled(text: str) -> Compilation | None:
    """Compile a policy; nothing for one of the few with too many sets for an address."""
    compilation = compile_tree(MemoryTree({"random.mseg": text.encode()}), TODAY)
    errors = {found.code for found in compilation.diagnostics if found.severity is Severity.ERROR}
    assert errors <= {Code.TOO_MANY_SETS}, f"{text}\n{compilation.diagnostics}"
    return None if errors else compilation


def ask_of_everything(lab: Laboratory) -> None:
    """Let nothing pass or be dropped without asking the policy, as far as that can be set."""
    lab.set(unasked=Unasked(0), options=Option.JUDGE_ICMP_ERRORS)


def is_possible(packet: Packet) -> bool:
    """Say whether a host can have sent it: what comes from a group is dropped whatever the policy."""
    return not packet.src.is_multicast and packet.src != IPv4Address("255.255.255.255")


@pytest.mark.only_tc  # questions are put to the TC program
def test_the_kernel_equals_the_evaluator_on_random_policies_and_packets(lab: Laboratory) -> None:
    ask_of_everything(lab)
    seen: Counter[tuple[int, Verdict]] = Counter()
    tried = seed = 0
    while tried < PAIRS:
        rng = Random(seed)
        text = policy_text(rng)
        seed += 1
        compilation = compiled(text)
        if compilation is None:
            continue
        ids = rule_ids(compilation)
        generation = lab.stage_ruleset(compilation.ruleset)
        lab.plane.write_root(Root(generation))
        for packet in packets(rng, compilation.ruleset, PER_POLICY):
            if not can_be_sent(packet):
                continue
            tried += 1
            decision = evaluate(compilation.ruleset, packet)
            answer = lab.flows.ask(frame(packet), generation)
            assert compilation.image
            context = f"{packet}\n{text}"
            assert answer.verdict is decision.verdict, context
            assert answer.rule == id_of(decision.decider, ids), context
            assert answer.log == decision.log, context
            assert answer.probes == search(compilation.image, packet).probes, context
            seen[packet.src.version, decision.verdict] += 1
    # A generator that forgot a family or a verdict would prove nothing.
    assert min(seen[version, verdict] for version in (4, 6) for verdict in Verdict) > PAIRS // 200, seen


def test_the_whole_program_passes_and_drops_as_the_evaluator_says(lab: Laboratory) -> None:
    ask_of_everything(lab)
    tried = Counter[bool]()
    for seed in range(PAIRS // PER_POLICY // 10):
        rng = Random(f"whole {seed}")
        text = policy_text(rng)
        compilation = compiled(text)
        if compilation is None:
            continue
        lab.plane.write_root(Root(lab.stage_ruleset(compilation.ruleset)))
        for packet in packets(rng, compilation.ruleset, PER_POLICY):
            if not (can_be_sent(packet) and is_possible(packet)):
                continue
            passes = evaluate(compilation.ruleset, packet).verdict.passes
            result = lab.flows.run(frame(packet))
            assert result.passed == passes, f"seed {seed}: {packet}\n{text}"
            tried[passes] += 1
            lab.forget_sessions()
    assert min(tried[True], tried[False]) > 0


def rule_ids(compilation: Compilation) -> dict[OrderedRule, int]:
    ordered = compilation.ruleset.ordered()
    names = rule_names(ordered)
    ids = assign("rule", names)
    return {rule: ids[name] for rule, name in zip(ordered, names, strict=True)}


def id_of(decider: Decider, ids: dict[OrderedRule, int]) -> int:
    return ids[decider] if isinstance(decider, OrderedRule) else 0
