"""Faults that only long runs plant still have their place: whoever moves a line moves its fault with it."""

from __future__ import annotations

from pathlib import Path

from kernel import (
    test_denied,
    test_fuzz_mutants,
    test_judged,
    test_model_mutants,
    test_openings,
    test_rule_counts,
)
from kernel.planted_faults import Fault, each, sources_with

IN_LONG_RUNS = (
    *test_denied.IN_LONG_RUNS,
    *test_fuzz_mutants.IN_LONG_RUNS,
    *test_judged.IN_LONG_RUNS,
    *test_model_mutants.IN_LONG_RUNS,
    *test_openings.IN_LONG_RUNS,
    *test_rule_counts.IN_LONG_RUNS,
)


@each(*IN_LONG_RUNS)
def test_a_fault_of_the_long_run_has_its_place(fault: Fault, tmp_path: Path) -> None:
    sources_with((fault,), tmp_path)
