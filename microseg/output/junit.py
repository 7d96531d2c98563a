"""JUnit XML, as build servers read it: a suite a file, a case a test, a failure an expectation."""

from __future__ import annotations

import re
from html import escape
from itertools import groupby
from typing import TYPE_CHECKING

from microseg.render import render_text, shortened

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from microseg.diagnostics import Diagnostic
    from microseg.output.outcome import Outcome
    from microseg.output.places import Places

_HEAD = '<?xml version="1.0" encoding="UTF-8"?>'

# What XML 1.0 can't say, not even escaped (section 2.2).
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def suites(outcomes: Iterable[Outcome], sources: Mapping[str, str], places: Places) -> str:
    """Return what became of the tests, ending in a newline.

    Args:
        outcomes: each test with its failures.
        sources: the text of the files, for showing failures.
        places: makes the paths of files.

    """
    by_file = sorted(outcomes, key=lambda outcome: outcome.test.span)
    inner: list[str] = []
    for path, group in groupby(by_file, key=lambda outcome: outcome.test.span.path):
        inner += _suite(places.path(path), list(group), sources)
    failed = sum(1 for outcome in by_file if not outcome.passed)
    attributes = _attributes(name="microseg", tests=len(by_file), failures=failed, errors=0)
    return _document(attributes, inner)


def wrong_policy(diagnostics: Sequence[Diagnostic], sources: Mapping[str, str]) -> str:
    """Return one case that could not be run: the policy has errors, so nothing could be proved."""
    errors = [each for each in diagnostics if each.is_error]
    message = f"{errors[0].span}: {shortened(errors[0].message)}" if errors else "the policy is wrong"
    body = _content(render_text(errors, sources))
    counts = _attributes(name="microseg", tests=1, failures=0, errors=1)
    inner = [
        f"  <testsuite {counts}>",
        f"    <testcase {_attributes(name='the policy compiles', classname='microseg')}>",
        f"      <error {_attributes(message=message, type='PolicyError')}>{body}</error>",
        "    </testcase>",
        "  </testsuite>",
    ]
    return _document(counts, inner)


def _document(attributes: str, inner: Sequence[str]) -> str:
    return "\n".join([_HEAD, f"<testsuites {attributes}>", *inner, "</testsuites>", ""])


def _suite(path: str, outcomes: Sequence[Outcome], sources: Mapping[str, str]) -> Iterator[str]:
    failed = sum(1 for outcome in outcomes if not outcome.passed)
    yield f"  <testsuite {_attributes(name=path, tests=len(outcomes), failures=failed, errors=0)}>"
    for outcome in outcomes:
        yield from _case(path, outcome, sources)
    yield "  </testsuite>"


def _case(path: str, outcome: Outcome, sources: Mapping[str, str]) -> Iterator[str]:
    test = outcome.test
    attributes = _attributes(name=test.name, classname=path, file=path, line=test.span.line)
    if outcome.passed:
        yield f"    <testcase {attributes} />"
        return
    yield f"    <testcase {attributes}>"
    for failure in outcome.failures:
        said = _attributes(message=f"{failure.span}: {shortened(failure.message)}", type=failure.code.value)
        yield f"      <failure {said}>{_content(render_text([failure], sources))}</failure>"
    yield "    </testcase>"


def _attributes(**values: str | int) -> str:
    return " ".join(f'{name}="{_value(str(value))}"' for name, value in values.items())


def _value(text: str) -> str:
    return _content(text).replace("\n", "&#10;").replace("\r", "&#13;").replace("\t", "&#9;")


def _content(text: str) -> str:
    return escape(_FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text), quote=True)
