"""A loaded data plane for the tests of a process, in a BPF file system of its own."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from kernel.cache_lines import staying
from kernel.laboratory import Laboratory

from microseg.kernel.dataplane import PinnedDataPlane
from microseg.kernel.tcx import tcx_supported
from microseg.reconcile.dataplane import Hook


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests here; tests/conftest.py says when they skip."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.kernel)


@pytest.fixture(scope="session")
def plane(loaded: PinnedDataPlane) -> PinnedDataPlane:
    return loaded


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what uses `lab` with the programs of TC (TCX and clsact share them) and with those of XDP."""
    if "lab" in metafunc.fixturenames:
        only_tc = metafunc.definition.get_closest_marker("only_tc")
        tc = Hook.TCX if tcx_supported() else Hook.CLSACT
        hooks = [tc] if only_tc else [tc, Hook.XDP]
        names = ["xdp" if hook is Hook.XDP else "tc" for hook in hooks]
        metafunc.parametrize("lab", hooks, indirect=True, ids=names, scope="function")


@pytest.fixture
def lab(plane: PinnedDataPlane, request: pytest.FixtureRequest) -> Iterator[Laboratory]:
    """The same data plane without sessions and events, and with no policy in force; sent to on one CPU."""
    if request.param is Hook.XDP:
        plane.require_xdp()
    made = Laboratory(plane, request.param)
    made.clear()
    with staying():
        yield made
    made.close()


@pytest.fixture
def namespace() -> Iterator[None]:
    """Run the test in a network namespace of its own."""
    libc = ctypes.CDLL(None, use_errno=True)
    clone_newnet = 0x40000000
    with open("/proc/self/ns/net", "rb") as outside:  # noqa: PTH123  # a namespace file, for its descriptor
        assert libc.unshare(clone_newnet) == 0, os.strerror(ctypes.get_errno())
        try:
            with suppress(FileNotFoundError):
                subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            yield
        finally:
            assert libc.setns(outside.fileno(), clone_newnet) == 0
