"""One table of outcomes: Python, C and the documentation."""

from __future__ import annotations

from pathlib import Path

from microseg.abi_outcome import FIRST_DROP, OUTCOME_SLOTS, Outcome, c_constants

PAGE = Path(__file__).parents[2] / "docs" / "data-plane.md"


def test_the_page_has_the_table() -> None:
    rows = [f"| `{outcome.name}` | {outcome.value} | {outcome.meaning} |" for outcome in Outcome]
    assert "\n".join(rows) in PAGE.read_text(encoding="utf-8")


def test_names_say_what_numbers_say() -> None:
    for outcome in Outcome:
        assert outcome.name.startswith("PASS_" if outcome.passes else "DROP_"), outcome
        assert outcome < OUTCOME_SLOTS
        assert outcome.meaning


def test_c_has_every_outcome() -> None:
    constants = c_constants()
    assert {name: constants[f"MS_{name}"] for name in Outcome.__members__} == dict(Outcome.__members__)
    assert constants["MS_FIRST_DROP"] == FIRST_DROP


def test_every_outcome_is_used_in_c() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in (PAGE.parents[1] / "bpf").glob("*.[ch]"))
    unused = [outcome.name for outcome in Outcome if f"MS_{outcome.name}" not in sources]
    assert unused == []
