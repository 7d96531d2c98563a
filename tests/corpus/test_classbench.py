"""Filter sets in ClassBench's style: verdict and rule of every packet, by evaluator, image and kernel."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

import classbench
import pytest
from kernel.laboratory import Laboratory
from wire import can_be_sent, frame

from microseg.abi import Root
from microseg.compiler.interpret import search
from microseg.compiler.pipeline import Compilation, compile_tree
from microseg.kernel.dataplane import PinnedDataPlane
from microseg.policy.evaluate import evaluate_ordered
from microseg.policy.rules import OrderedRule
from microseg.reconcile.dataplane import Sizing
from microseg.source import MemoryTree

FILES = sorted(Path(os.environ["MICROSEG_CORPUS"]).glob("classbench/*.json.gz"))
SIZING = Sizing(addresses=131_072, rules=131_072, sessions=4096)


@pytest.fixture(scope="module")
def plane(bpffs: Path) -> PinnedDataPlane:
    made = PinnedDataPlane(bpffs / "classbench")
    made.load(SIZING)
    return made


def compiled(text: str) -> Compilation:
    return compile_tree(MemoryTree({"classbench.mseg": text.encode()}), date(2026, 1, 1))


def index_of(compilation: Compilation, rule_id: int) -> int | None:
    """Return the index of the rule an id stands for; None for the default."""
    assert compilation.image
    origin = compilation.image.origins[rule_id]
    return origin.span.line - classbench.FIRST_RULE_LINE if rule_id and origin.span else None


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_packet_gets_the_expected_verdict_by_the_expected_rule(path: Path, lab: Laboratory) -> None:
    content = classbench.read(path)
    compilation = compiled(classbench.policy_text(content))
    assert compilation.image, compilation.diagnostics[:3]
    ordered = compilation.ruleset.ordered()
    generation = lab.stage_ruleset(compilation.ruleset)
    lab.plane.write_root(Root(generation))
    tried = 0
    for packet, verdict, rule in classbench.packets(content):
        expected = (verdict, rule)
        decision = evaluate_ordered(compilation.ruleset, ordered, packet)
        decider = decision.decider
        line = decider.rule.span.line if isinstance(decider, OrderedRule) else None
        index = None if line is None else line - classbench.FIRST_RULE_LINE
        assert (decision.verdict.name.lower(), index) == expected, f"evaluator: {packet}"
        found = search(compilation.image, packet)
        assert (found.verdict.name.lower(), index_of(compilation, found.rule_id)) == expected, (
            f"image: {packet}"
        )
        if not can_be_sent(packet):
            continue
        answer = lab.flows.ask(frame(packet), generation)
        assert answer.verdict, f"kernel did not judge {packet}: {answer.outcome}"
        judged = (answer.verdict.name.lower(), index_of(compilation, answer.rule))
        assert judged == expected, f"kernel: {packet}"
        tried += 1
    assert tried >= 1000, "the filter set has hardly any packets"
