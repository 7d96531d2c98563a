"""What is skipped on a kernel is what that kernel doesn't have."""

from __future__ import annotations

import os
import re

import pytest

from microseg.kernel.tcx import tcx_supported

TCX_SINCE = (6, 6)


def release() -> tuple[int, int]:
    match = re.match(r"(\d+)\.(\d+)", os.uname().release)
    assert match
    return int(match[1]), int(match[2])


# Older kernels may have it from their distributor.
@pytest.mark.skipif(release() < TCX_SINCE, reason="kernel without TCX")
def test_tcx_is_found_where_the_kernel_has_it() -> None:
    assert tcx_supported()
