"""A flame graph as SVG: what was on the processor, by who called it. Names and shares show under the pointer.

Brendan Gregg's form: a box for each function, as wide as its share of the samples, on top of its caller.
(perf's own report fetches a script from the network, and FlameGraph is a set of Perl scripts to install.)
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from microseg.bench.perf import Stack

WIDTH = 1200
_ROW, _TOP, _SIDE, _LETTER = 18, 44, 10, 6.6
_NARROWEST = 0.4
"""Boxes below so many pixels are left out."""
_STYLE = """\
text{font:12px system-ui,sans-serif;fill:#1a1a1a;pointer-events:none}.head{font-size:15px;font-weight:600}
.paper{fill:#fff}.ours{fill:#e8743b}.helper{fill:#f0b429}.other{fill:#b9c9dd}rect:hover{stroke:#000}
@media (prefers-color-scheme:dark){.paper{fill:#16191d}.head{fill:#e8e8e8}.other{fill:#8399b3}}"""


_PROGRAM = re.compile(r"bpf_prog_[0-9a-f]{16}_")
"""What the kernel puts before the name of a BPF program."""


class Kind(Enum):
    """What a function is; the value is its class in the style."""

    OURS = "ours"
    HELPER = "helper"
    """Called by one of ours."""
    OTHER = "other"


@dataclass(slots=True)
class Box:
    """A function under the same callers: samples in it and in what it called."""

    name: str
    kind: Kind = Kind.OTHER
    samples: int = 0
    called: dict[str, Box] = field(default_factory=dict)

    def calling(self, name: str) -> Box:
        """Return the box of a function that this one called."""
        if name not in self.called:
            shown = _PROGRAM.sub("", name)
            called = Kind.HELPER if self.kind is not Kind.OTHER else Kind.OTHER
            ours = shown != name and shown.startswith("ms_")
            self.called[name] = Box(shown, Kind.OURS if ours else called)
        return self.called[name]

    def placed(self, at: int = 0, depth: int = 0) -> Iterator[tuple[Box, int, int]]:
        """Yield this box and all above it: samples to the left of it, and how far up it is."""
        yield self, at, depth
        for name in sorted(self.called):
            box = self.called[name]
            yield from box.placed(at, depth + 1)
            at += box.samples


def tree_of(stacks: Mapping[Stack, int]) -> Box:
    """Return the boxes of these stacks."""
    root = Box("all")
    for stack, samples in stacks.items():
        box = root
        box.samples += samples
        for name in stack:
            box = box.calling(name)
            box.samples += samples
    return root


def flamegraph(title: str, stacks: Mapping[Stack, int]) -> str:
    """Return the image."""
    root = tree_of(stacks)
    scale = (WIDTH - 2 * _SIDE) / max(root.samples, 1)
    wide = [each for each in root.placed() if each[0].samples * scale >= _NARROWEST]
    height = _TOP + _ROW * (1 + max((depth for _, _, depth in wide), default=0)) + _SIDE
    view = {"viewBox": f"0 0 {WIDTH} {height}", "width": str(WIDTH), "height": str(height), "role": "img"}
    svg = ET.Element("svg", {"xmlns": "http://www.w3.org/2000/svg"} | view)
    ET.SubElement(svg, "style").text = _STYLE
    ET.SubElement(svg, "rect", {"class": "paper", "width": str(WIDTH), "height": str(height)})
    head = f"{title}: {root.samples:,} samples"
    ET.SubElement(svg, "text", {"class": "head", "x": str(_SIDE), "y": "26"}).text = head
    for box, at, depth in wide:
        _draw(svg, box, _SIDE + at * scale, height - _SIDE - _ROW * (depth + 1), box.samples * scale)
        share = f"{box.name}: {box.samples:,} samples, {box.samples / root.samples:.1%}"
        ET.SubElement(svg[-1], "title").text = share
    return ET.tostring(svg, encoding="unicode")


def _draw(svg: ET.Element, box: Box, x: float, y: int, width: float) -> None:
    """Add a box with as much of its name as it has room for."""
    letters = int((width - 6) / _LETTER)
    group = ET.SubElement(svg, "g")
    place = {"x": f"{x:.1f}", "y": str(y), "width": f"{max(width - 0.5, 0.3):.1f}", "height": str(_ROW - 1)}
    ET.SubElement(group, "rect", {"class": box.kind.value} | place)
    if letters > 2:  # fewer say nothing
        words = box.name if len(box.name) <= letters else f"{box.name[: letters - 1]}…"
        ET.SubElement(group, "text", {"x": f"{x + 3:.1f}", "y": str(y + 13)}).text = words
