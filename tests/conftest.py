"""What holds for all tests.

Tests marked `kernel` need root, the BPF file system and bcc. Without them they skip; with
MICROSEG_REQUIRE_BPF=1, as in continuous integration, they fail.

Examples that hypothesis makes are the same in each run, so that a failure belongs to the change that caused
it; with MICROSEG_TEST_FULL=1 they are new ones each time. No deadlines: the machine may be busy.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from bpf_mount import bpf_file_system
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from kernel.borrowed import Lender

    from microseg.kernel.dataplane import PinnedDataPlane

BPF_REQUIRED = "MICROSEG_REQUIRE_BPF"
BPFFS = Path("/sys/fs/bpf")
LONGEST = (
    "kernel/test_fault_matrix.py",
    "gitops/test_agent_kernel.py",
    "demo/test_demo.py",
    "analysis/test_difference.py",
    "cli/test_apply_kernel.py",
    "kernel/test_mix.py",
    "kernel/test_debug.py",
    "repository/test_tours.py",
    "kernel/test_loading.py",
    "cli/test_confirm_kernel.py",
    "gitops/test_agent_bad_day_kernel.py",
    "kernel/test_attaching.py",
    "kernel/test_model.py",
    "kernel/test_model_mutants.py",
    "analysis/test_findings_by_hand.py",
    "kernel/test_killed_load.py",
    "cli/test_bench.py",
    "gitops/test_init.py",
)
"""What takes longest begins first, so that no worker is left alone with it at the end."""
TABLE = "table"
"""The property of a test (record_property) that is shown at the end of a run, whoever ran it."""

settings.register_profile(
    "microseg",
    deadline=None,
    derandomize=os.environ.get("MICROSEG_TEST_FULL") != "1",
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.load_profile("microseg")


@cache
def why_kernel_is_unusable() -> str:
    """Return the one reason for a skip, or nothing."""
    if os.geteuid():
        return "the kernel's part needs root"
    if not BPFFS.is_mount():
        return f"{BPFFS} isn't mounted: make setup"
    if not importlib.util.find_spec("bcc"):
        return "there is no bcc: make setup"
    return ""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the longest files to the front; a worker takes the next file there is (--no-loadscope-reorder)."""
    here = Path(__file__).parent
    places = {here / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("kernel") and (reason := why_kernel_is_unusable()):
        if os.environ.get(BPF_REQUIRED) == "1":
            pytest.fail(f"{reason}, and {BPF_REQUIRED} is set", pytrace=False)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def bpffs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A BPF file system that nobody else sees the inside of."""
    with bpf_file_system(tmp_path_factory.mktemp("bpffs")) as folder:
        yield folder


@pytest.fixture(scope="session")
def loaded(bpffs: Path) -> Iterator[PinnedDataPlane]:
    """A data plane attached to nothing; one for all tests, since compiling takes minutes in emulation."""
    from kernel.sizing import SIZING  # noqa: PLC0415  # most tests need none of it

    from microseg.kernel.dataplane import PinnedDataPlane  # noqa: PLC0415  # likewise

    made = PinnedDataPlane(bpffs / "tests")
    made.load(SIZING)
    yield made
    made.unload()
    assert not (bpffs / "tests").exists(), "unload left pins behind"


@pytest.fixture(scope="session")
def long_lender(loaded: PinnedDataPlane) -> Iterator[Lender]:
    """The same, to be lent to instances of their own."""
    from kernel.borrowed import Lender  # noqa: PLC0415  # likewise

    made = Lender(loaded)
    yield made
    made.close()


@pytest.fixture
def lender(long_lender: Lender) -> Iterator[Lender]:
    """Lent for a test."""
    yield long_lender
    long_lender.forget_everything()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for report in terminalreporter.getreports("passed"):
        for name, text in report.user_properties:
            if name == TABLE and report.when == "call":
                terminalreporter.section(report.nodeid.rpartition("::")[2])
                terminalreporter.write_line(str(text))
