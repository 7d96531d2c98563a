"""Asking a kernel about packets of a policy's tests, with a stand-in for the kernel."""

from __future__ import annotations

from datetime import date

import pytest

from microseg.abi import PolicyMap, encode
from microseg.compiler.pipeline import Compilation, compile_tree
from microseg.policy.evaluate import evaluate
from microseg.policy.frames import read_frame
from microseg.policy.rules import Verdict
from microseg.reconcile.rehearsal import Rehearsal, questions, rehearse, sizing_for
from microseg.source import MemoryTree

TEXT = """\
group web = 10.1.1.0/24, 2001:db8::/64
policy shop {
  allow web -> 10.1.3.10 - 10.1.3.19 : tcp/5432
  deny web -> any : proto/0-255
}
test "one" { expect allow web & any4 -> 10.1.3.10 : tcp/5432 }
test "two" { expect some allow web -> any  expect deny any - web -> any }
"""


@pytest.fixture(scope="module")
def compilation() -> Compilation:
    return compile_tree(MemoryTree({"p.mseg": TEXT.encode()}), date(2026, 1, 1))


def judged_by(compilation: Compilation, **wrong: Verdict) -> Rehearsal:
    """Ask a kernel that judges as the evaluator, but for packets between some addresses."""

    def ask(frame: bytes) -> Verdict:
        packet = read_frame(frame)
        return wrong.get(str(packet.dst), evaluate(compilation.ruleset, packet).verdict)

    return rehearse(questions(compilation.ruleset), ask)


def test_a_kernel_that_agrees(compilation: Compilation) -> None:
    asked = questions(compilation.ruleset)
    assert {each.sample.test.name for each in asked} == {"one", "two"}
    assert judged_by(compilation) == Rehearsal(len(asked), ())


def test_frames_that_can_not_be_are_left_out(compilation: Compilation) -> None:
    # Over IPv6, protocol 0 is an extension header: the lowest packet of a range from it has no frame.
    assert all(each.sample.packet == read_frame(each.frame) for each in questions(compilation.ruleset))


def test_each_expectation_fails_once_with_a_packet(compilation: Compilation) -> None:
    found = judged_by(compilation, **{"10.1.3.10": Verdict.REJECT})
    one, *others = found.failures
    assert one.code.value == "MS320"
    assert 'test "one" fails in the kernel: 10.1.1.1 -> 10.1.3.10 : tcp/5432 from' in one.message
    assert one.message.endswith("gets reject, the policy says allow")
    assert (one.span.line, one.labels[1].span.line) == (6, 3)
    assert len({each.span for each in found.failures}) == len(found.failures) == len(others) + 1


def test_what_the_policy_does_not_judge_is_not_counted(compilation: Compilation) -> None:
    assert rehearse(questions(compilation.ruleset), lambda _: None) == Rehearsal(0, ())


def test_the_maps_have_room(compilation: Compilation) -> None:
    assert compilation.image
    contents = encode(compilation.image)
    room = sizing_for(contents).policy_capacities()
    assert all(len(contents.maps[name]) <= room[name] for name in PolicyMap)
