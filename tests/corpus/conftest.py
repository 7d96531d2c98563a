"""Corpora from elsewhere, collected only when MICROSEG_CORPUS names a folder (make test-corpus)."""

from __future__ import annotations

import os

from kernel.conftest import lab, plane, pytest_generate_tests

__all__ = ["lab", "plane", "pytest_generate_tests"]

collect_ignore_glob = [] if os.environ.get("MICROSEG_CORPUS") else ["test_*.py"]
