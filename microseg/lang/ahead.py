"""Parsing ahead: large files from trees kept on the disk, and on all processors when there is much to do.

It fills the memory that `parse_tree` asks, so it can't change what a policy means: the same text gives the
same tree, parsed here, elsewhere or earlier. docs/designs/control-plane-scale.md has what it is worth.
"""

from __future__ import annotations

import hashlib
import os
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from microseg.lang import cache as disk
from microseg.lang import tree_bytes
from microseg.lang.files import parse_file, read_text
from microseg.phases import Phase, untold
from microseg.source import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from microseg.diagnostics import Diagnostic
    from microseg.lang.files import ParsedFile
    from microseg.memo import Memo
    from microseg.phases import Told
    from microseg.source import SourceTree

_Elsewhere: TypeAlias = "tuple[str, list[Diagnostic], bytes | None]"

SMALL = 2 * 1024
"""Characters of a file that is parsed as quickly as a kept tree is found."""

LITTLE = 64 * 1024
"""Characters of all files together for which none of this is worth while: some 800 rules."""

MUCH = 2 * 1024 * 1024
"""Characters from which on other processors help: some 25,000 rules."""

KEPT_BYTES = 128 * 1024 * 1024
"""How much is kept in all; what wasn't asked for the longest goes first."""

_KIND = "parsed-"
_PACKAGE = Path(__file__).parents[1]


def parse_ahead(tree: SourceTree, known: Memo[ParsedFile], told: Told = untold) -> None:
    """Parse the large files of a directory that aren't known yet, and make them known.

    Args:
        tree: the directory; what can't be read is left to `parse_tree`, which says so.
        known: what is filled, by path and text.
        told: is told how far it is.

    """
    texts = dict(_large_files(tree))
    if sum(map(len, texts.values())) < LITTLE:
        return
    missing: dict[str, str] = {}
    for path, text in texts.items():
        kept = disk.load(_name(path, text), mark=True)
        file = tree_bytes.from_bytes(path, kept) if kept is not None else None
        if file is None:
            missing[path] = text
        else:
            known.keep((file, []), (), (path, text))
    done = len(texts) - len(missing)
    for path, parsed, content in _parsed(missing):
        known.keep(parsed, (), (path, missing[path]))
        if content is not None:
            disk.store(_name(path, missing[path]), content)
        done += 1
        told(Phase.PARSE, done / len(texts))
    if missing:
        disk.trim(_KIND, KEPT_BYTES)


def _large_files(tree: SourceTree) -> Iterator[tuple[str, str]]:
    """Yield path and text of the files for which this is worth while."""
    try:
        paths = tree.policy_paths()
    except SourceError:
        return
    for path in paths:
        text, problems = read_text(tree, path)
        if text is not None and not problems and len(text) >= SMALL:
            yield path, text


def _parsed(texts: Mapping[str, str]) -> Iterator[tuple[str, ParsedFile, bytes | None]]:
    """Yield each file by path, parsed, and as bytes to keep."""
    left = dict(texts)
    if sum(map(len, texts.values())) >= MUCH and len(texts) > 1 and _processors() > 1:
        for path, problems, content in _on_all_processors(texts):
            file = tree_bytes.from_bytes(path, content) if content is not None else None
            if file is not None:
                del left[path]
                yield path, (file, problems), None if problems else content
    for path, text in left.items():
        file, problems = parse_file(path, text)
        yield path, (file, problems), None if problems else tree_bytes.to_bytes(file)


def _on_all_processors(texts: Mapping[str, str]) -> Iterator[_Elsewhere]:
    """Yield the files, in their order, parsed by as many processes; none any more when one of these dies."""
    # A process that never sees a large policy needs none of this.
    from concurrent.futures import ProcessPoolExecutor  # noqa: PLC0415
    from concurrent.futures.process import BrokenProcessPool  # noqa: PLC0415
    from multiprocessing import get_context  # noqa: PLC0415

    try:
        with ProcessPoolExecutor(min(_processors(), len(texts)), get_context("fork")) as pool:
            yield from pool.map(_parsed_elsewhere, texts, texts.values())
    except (BrokenProcessPool, OSError):
        return


def _parsed_elsewhere(path: str, text: str) -> _Elsewhere:
    file, problems = parse_file(path, text)
    return path, problems, tree_bytes.to_bytes(file)


def _processors() -> int:
    return len(os.sched_getaffinity(0))


def _name(path: str, text: str) -> str:
    """Return what a tree is kept under: all that decides what it is like."""
    made_of = hashlib.sha256(_version())
    made_of.update(f"{len(path)} {path} {text}".encode())
    return f"{_KIND}{made_of.hexdigest()[:40]}"


@cache
def _version() -> bytes:
    """Return a digest of the grammar and of the code that makes trees of it."""
    sources = [*_PACKAGE.glob("lang/*.py"), *_PACKAGE.glob("_grammar/*.lark"), _PACKAGE / "source.py"]
    sha = hashlib.sha256(sys.version.encode())
    for path in sorted([*sources, _PACKAGE / "policy" / "rules.py"]):
        sha.update(hashlib.sha256(path.read_bytes()).digest())
    return sha.digest()
