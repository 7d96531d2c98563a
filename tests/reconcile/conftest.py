from __future__ import annotations

import pytest
from reconcile.fake import FakeDataPlane


@pytest.fixture
def plane() -> FakeDataPlane:
    return FakeDataPlane()
