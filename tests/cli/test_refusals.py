"""Every kind of mistake in a policy: a code, a place and help, exit 1, and the kernel untouched."""

from __future__ import annotations

import pytest
from cli.terminal_session import SHOP, Session
from reconcile.fake import FakeDataPlane

SETS = 17
OVERLAPPING = "".join(f"group g{n} = 10.{n}.0.0/16, 10.99.99.99\n" for n in range(SETS)) + (
    "policy p {\n" + "".join(f"  allow g{n} -> any\n" for n in range(SETS)) + "}\n"
)
MISTAKES = {
    "a syntax error": ("policy p { alow any -> any }\n", "MS001"),
    "an unknown name": ("policy p { allow nobody -> any }\n", "MS101"),
    "a cycle": ("group a = b\ngroup b = a\npolicy p { allow a -> any }\n", "MS106"),
    "a file outside the directory": ('group a = file("../secret")\npolicy p { allow a -> any }\n', "MS214"),
    "a set too many over one address": (OVERLAPPING, "MS401"),
    "a conflict of priorities": (
        "policy p { allow 10.0.0.1 -> any }\npolicy q { deny any -> 10.0.0.2 }\n",
        "MS310",
    ),
}


@pytest.fixture
def applied(session: Session, plane: FakeDataPlane) -> Session:
    session.expect(0, "apply", "-i", "eth0")
    plane.calls.clear()
    return session


@pytest.mark.parametrize("kind", MISTAKES)
@pytest.mark.parametrize("words", [["lint"], ["plan"], ["apply"], ["test"]], ids=" ".join)
def test_a_mistake_is_told_and_touches_nothing(
    applied: Session, plane: FakeDataPlane, kind: str, words: list[str]
) -> None:
    before = plane.enforced()
    (applied.folder / "secret").write_text("10.0.0.1\n")
    text, code = MISTAKES[kind]
    applied.write(text)

    result = applied.type(*words)

    assert result.exit_code == 1
    assert f"error[{code}]" in result.output
    assert "--> shop.mseg:" in result.output
    assert "= help: " in result.output
    assert plane.enforced() == before
    if words == ["apply"]:
        assert "generation 1 is in force, as before" in result.stderr


def test_maps_that_are_too_small_for_a_larger_policy(session: Session, plane: FakeDataPlane) -> None:
    session.settings.write_text(session.settings.read_text() + "[maps]\nrules = 8\n")
    session.expect(0, "apply", "-i", "eth0")
    before = plane.enforced()
    more = "".join(f"  allow web -> db : tcp/{port}\n" for port in range(9000, 9009))
    session.write(SHOP.replace("  deny ", f"{more}  deny "))

    result = session.type("apply")

    assert result.exit_code == 1
    assert "error[MS403]" in result.stderr
    assert "the kernel map policy, which holds 8" in result.stderr
    assert "set `rules = " in result.stderr
    assert plane.enforced() == before
