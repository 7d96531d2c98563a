"""All policy files of a directory, read and parsed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from itertools import zip_longest
from typing import TYPE_CHECKING, TypeAlias

from microseg.diagnostics import Code, Diagnostic
from microseg.lang import ignores
from microseg.lang.ast import Broken, File
from microseg.lang.parser import parse
from microseg.lang.text import MAX_POLICY_BYTES, decode, too_large
from microseg.memo import Memo
from microseg.source import SourceError, Span

if TYPE_CHECKING:
    from microseg.source import SourceTree


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a policy directory says, as far as it could be read.

    Attributes:
        files: the syntax trees, by path; one that couldn't be read is there with a broken statement.
        texts: the text of each file that could be read, for showing diagnostics.
        diagnostics: what is wrong with the files themselves and their syntax.

    """

    files: tuple[File, ...]
    texts: dict[str, str]
    diagnostics: list[Diagnostic]


ParsedFile: TypeAlias = tuple[File, list[Diagnostic]]
Text: TypeAlias = tuple[str | None, list[Diagnostic]]


def parse_tree(
    tree: SourceTree, known: Memo[ParsedFile] | None = None, texts_known: Memo[Text] | None = None
) -> Parsed:
    """Read and parse every policy file; whatever is wrong is a diagnostic.

    Args:
        tree: the directory.
        known: files that were parsed before.
        texts_known: contents that were made text of before.

    """
    known, texts_known = known or Memo(), texts_known or Memo()
    diagnostics: list[Diagnostic] = []
    files: list[File] = []
    texts: dict[str, str] = {}
    try:
        paths = tree.policy_paths()
    except SourceError as error:
        return Parsed((_unread(error.path),), {}, [_unreadable(error)])
    if not paths:
        diagnostics.append(_no_files())
    for path in paths:
        text, problems = read_text(tree, path, texts_known)
        diagnostics += problems
        if text is None:
            files.append(_unread(path))
            continue
        texts[path] = text
        file, problems = known.of(partial(_parse_again, path, text, known), (), (path, text))
        known.keep((file, problems), (), path)
        diagnostics += problems
        files.append(file)
    return Parsed(tuple(files), texts, diagnostics)


def _parse_again(path: str, text: str, known: Memo[ParsedFile]) -> ParsedFile:
    """Parse a file; statements that are as they were in it are the same objects as then."""
    file, problems = parse_file(path, text)
    before = known.find((), path)
    if before is None:
        return file, problems
    statements = tuple(
        old if old == new else new
        for old, new in zip_longest(before[0].statements[: len(file.statements)], file.statements)
    )
    return replace(file, statements=statements), problems


def parse_file(path: str, text: str) -> ParsedFile:
    """Return the tree of one file and what is wrong with it."""
    file, problems = parse(path, text)
    return file, [*problems, *ignores.of_file(file)[1]]


def read_text(tree: SourceTree, path: str, known: Memo[Text] | None = None) -> Text:
    """Return the text of a policy file, None when it can't be read, and what is wrong with it."""
    try:
        content = tree.read(path)
    except SourceError as error:
        return None, [_unreadable(error)]
    if len(content) > MAX_POLICY_BYTES:
        return None, [too_large(path)]
    return (known or Memo()).of(partial(decode, path, content), (), (path, content))


def _unread(path: str) -> File:
    return File(path, broken=(Broken(None, None),))


def _unreadable(error: SourceError) -> Diagnostic:
    return Diagnostic.of(
        Code.UNREADABLE,
        Span.of_file(error.path),
        f"can't read this file: {error.reason}",
        help="policy files are plain files inside the policy directory that microseg may read",
    )


def _no_files() -> Diagnostic:
    return Diagnostic.of(
        Code.NO_FILES,
        Span.of_file("."),
        "there is no policy file here: everything would be denied",
        help="policy files end in .mseg; hidden files and folders are skipped",
    )
