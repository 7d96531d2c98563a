"""Trees as bytes: the same tree comes back, and nothing else can."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from lang.trees import FILES

from microseg.lang import ast
from microseg.lang.parser import parse
from microseg.lang.tree_bytes import from_bytes, to_bytes

EVERYTHING = """# microseg: ignore MS301
group a = 10.0.0.0/8, 10.0.0.1 - 10.0.0.9 | !(b & any6) - file("x")
service s = tcp/80-90 from 1-2, icmp/echo-request, icmp/3/4, any, tcp, other
policy p priority 3 mode audit { owner "me"
  allow a <-> b : s log expires 2027-01-31 "why" }
default reject log
protect ssh from a : s
test "t" { expect some deny any -> a }
polcy broken {
"""


@given(FILES)
def test_a_tree_comes_back(file: ast.File) -> None:
    content = to_bytes(file)
    assert content is not None
    assert from_bytes(file.path, content) == file


def test_every_kind_of_node_comes_back() -> None:
    file, _ = parse("p.mseg", EVERYTHING)
    content = to_bytes(file)
    assert content is not None
    assert from_bytes("p.mseg", content) == file


def test_the_tree_of_another_file_is_none() -> None:
    content = to_bytes(ast.File("p.mseg"))
    assert content is not None
    assert from_bytes("q.mseg", content) is None


class Evil:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.folder),)


def test_bytes_that_name_anything_else_are_none_and_do_nothing(tmp_path: Path) -> None:
    for content in (Evil(tmp_path / "made"), os.system, Path("p.mseg"), ["p.mseg"]):
        assert from_bytes("p.mseg", pickle.dumps(content)) is None
    assert not (tmp_path / "made").exists()


@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda end: pickle.dumps(())[:-1] + end))
def test_any_bytes_are_a_tree_or_none(content: bytes) -> None:
    assert from_bytes("p.mseg", content) is None


@given(st.data())
def test_a_damaged_tree_is_a_tree_or_none(data: st.DataObject) -> None:
    file, _ = parse("p.mseg", EVERYTHING)
    content = bytearray(to_bytes(file) or b"")
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] = data.draw(st.integers(0, 255))
    found = from_bytes("p.mseg", bytes(content[: data.draw(st.integers(at, len(content)))]))
    assert found is None or isinstance(found, ast.File)


def test_a_tree_that_is_nested_very_deeply_is_left_out_or_comes_back() -> None:
    file, _ = parse("p.mseg", f"group a = {'(!' * 70}10.0.0.1{')' * 70}\n")
    content = to_bytes(file)
    assert content is None or from_bytes("p.mseg", content) == file
