"""Small files, small functions."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from tree import text_of, tracked, tracked_with

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE_LINES = 400
PYTHON_FUNCTION_LINES = 40
C_FUNCTION_LINES = 60


def python_functions(text: str) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
            yield node.name, node.end_lineno - node.lineno + 1


def c_functions(text: str) -> Iterator[tuple[str, int]]:
    """In the kernel's style a function's body is between a `{` and a `}` that stand in the first column."""
    start, name = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        if line == "{":
            start = number
        elif line == "}" and start:
            yield name, number - start + 1
            start = 0
        elif not start and "(" in line and not line.startswith(("\t", " ", "#", "/")):
            name = line.partition("(")[0].split()[-1]


def test_no_file_is_longer_than_400_lines() -> None:
    lengths = {path: len(text_of(path).splitlines()) for path in tracked_with(".py", ".c", ".h", ".lark")}
    assert len(lengths) > 10
    assert {path: length for path, length in lengths.items() if length > FILE_LINES} == {}


def test_no_python_function_is_longer_than_40_lines() -> None:
    long = [
        f"{path}: {name} has {lines} lines"
        for path in tracked_with(".py")
        if path.parts[0] in {"microseg", "examples"}
        for name, lines in python_functions(text_of(path))
        if lines > PYTHON_FUNCTION_LINES
    ]
    assert long == []


def test_no_c_function_is_longer_than_60_lines() -> None:
    functions = [(path, *each) for path in tracked_with(".c", ".h") for each in c_functions(text_of(path))]
    assert functions or not any(path.parts[0] == "bpf" for path in tracked())
    assert [each for each in functions if each[2] > C_FUNCTION_LINES] == []


def test_the_measures_measure() -> None:
    assert dict(python_functions("def a():\n    x = 1\n    return x\n")) == {"a": 3}
    assert dict(c_functions("static int b(int x)\n{\n\tif (x) {\n\t}\n}\n")) == {"b": 4}
