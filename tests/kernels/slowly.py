"""A pytest plugin for an emulated processor: compiling the programs takes minutes there, not seconds."""

from __future__ import annotations

import pytest

from microseg.kernel import loading

LOAD_TIMEOUT_S = 1500


def pytest_configure(config: pytest.Config) -> None:  # noqa: ARG001  # pytest passes it by name
    assert isinstance(loading._TIMEOUT_S, int), "the loader's timeout has another name now"  # noqa: SLF001
    loading._TIMEOUT_S = LOAD_TIMEOUT_S  # noqa: SLF001  # for operators it is no setting
