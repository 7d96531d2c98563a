"""Stacks as perf prints them, and the boxes they become."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microseg.bench import perf
from microseg.bench.flamegraph import WIDTH, Kind, flamegraph, tree_of
from microseg.reconcile.dataplane import KernelError

SVG = "{http://www.w3.org/2000/svg}"
COLD = "bpf_prog_acfde011d59eae33_ms_cold"
SCRIPT = f"""\
python
\tffffffffc0001111 {COLD}
\tffffffff8abc2222 veth_poll
\t    7fd852b42330 [unknown]

swapper
\tffffffff8abc3333 default idle

python
\tffffffff8abc4444 trie_lookup_elem
\tffffffffc0001111 {COLD}
\tffffffff8abc2222 veth_poll
\t    7fd852b42330

"""
STACKS = perf.folded(SCRIPT.splitlines())

NAMES = st.sampled_from(["a", "b", COLD, "bpf_prog_0123456789abcdef_other"])


def test_stacks_are_counted_from_the_outermost_function() -> None:
    assert STACKS == {
        ("python", "[unknown]", "veth_poll", COLD): 1,
        ("swapper", "default idle"): 1,
        ("python", "[unknown]", "veth_poll", COLD, "trie_lookup_elem"): 1,
    }


def test_ours_and_what_it_calls_stand_out() -> None:
    boxes = {box.name: box for box, _, _ in tree_of(STACKS).placed()}
    assert (boxes["ms_cold"].kind, boxes["ms_cold"].samples) == (Kind.OURS, 2)
    assert boxes["trie_lookup_elem"].kind is Kind.HELPER
    assert boxes["veth_poll"].kind is Kind.OTHER
    image = flamegraph("a test", STACKS)
    titles = [str(title.text) for title in ET.fromstring(image).iter(f"{SVG}title")]
    assert "ms_cold: 2 samples, 66.7%" in titles


@given(st.dictionaries(st.lists(NAMES, min_size=1, max_size=6).map(tuple), st.integers(1, 1000), max_size=12))
def test_a_box_stands_on_its_caller_and_beside_its_siblings(stacks: dict[tuple[str, ...], int]) -> None:
    root = tree_of(stacks)
    assert root.samples == sum(stacks.values())
    for box, _, _ in root.placed():
        assert sum(called.samples for called in box.called.values()) <= box.samples
    rows: dict[int, int] = {}
    for box, at, depth in root.placed():
        assert at >= rows.get(depth, 0), "it begins where the one before it has ended"
        rows[depth] = at + box.samples
    for drawn in ET.fromstring(flamegraph("a test", stacks)).iter(f"{SVG}rect"):
        assert float(drawn.attrib.get("x", 0)) + float(drawn.attrib["width"]) <= WIDTH


def test_without_perf_it_is_said_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(KernelError, match="there is no perf on this host"):
        perf.require_perf()
