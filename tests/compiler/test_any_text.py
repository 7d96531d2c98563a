"""Whatever is committed: an image or an error, and nothing else."""

from __future__ import annotations

import re
from datetime import date
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from random_policies import policy_text

from microseg.compiler.pipeline import compile_tree
from microseg.diagnostics import has_errors
from microseg.render import render_json, render_text
from microseg.source import MemoryTree

TODAY = date(2026, 6, 1)
WORD = re.compile(r"\s+|\w+|.")


@given(st.integers(0, 2**32), st.data())
def test_a_damaged_policy_gives_an_image_or_an_error(seed: int, data: st.DataObject) -> None:
    words = WORD.findall(policy_text(Random(seed)))
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(words) - 1))
        match data.draw(st.sampled_from(("drop", "repeat", "swap", "other"))):
            case "drop":
                words[at] = ""
            case "repeat":
                words[at] *= 2
            case "swap":
                words[at], words[at - 1] = words[at - 1], words[at]
            case "other":
                words[at] = data.draw(st.sampled_from(("}", "{", "999999", "::", '"', "any", "group", "\0")))
    check({"p.mseg": "".join(words).encode()})


@given(st.binary(max_size=100), st.booleans())
def test_any_address_list_gives_an_image_or_an_error(content: bytes, use_lines: bool) -> None:  # noqa: FBT001
    if use_lines:
        content = b"\n".join(b"10.%d.0.0/%d" % (byte, byte % 40) for byte in content)
    check({"p.mseg": b'group g = file("list")\npolicy p { deny g -> any }', "list": content})


def check(files: dict[str, bytes]) -> None:
    compilation = compile_tree(MemoryTree(files), TODAY)
    assert (compilation.image is None) is has_errors(compilation.diagnostics)
    shown = render_text(compilation.diagnostics, compilation.sources)
    assert shown.count("[MS") >= len(compilation.diagnostics)
    assert render_json(compilation.diagnostics).isascii()
