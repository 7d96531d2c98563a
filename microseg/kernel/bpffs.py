"""The file system that pins live in."""

from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING

from microseg.reconcile.dataplane import KernelError

if TYPE_CHECKING:
    from pathlib import Path

_MAGIC = 0xCAFE4A11
"""BPF_FS_MAGIC."""
_STATFS_SIZE = 256

_libc = ctypes.CDLL(None, use_errno=True)


def is_bpffs(path: Path) -> bool:
    """Say whether a folder, or the nearest one above it that exists, is in a bpffs."""
    while not path.exists() and path != path.parent:
        path = path.parent
    buffer = ctypes.create_string_buffer(_STATFS_SIZE)
    if _libc.statfs(os.fsencode(path), buffer):
        return False
    return int.from_bytes(buffer.raw[:4], "little") == _MAGIC


def require_bpffs(path: Path) -> None:
    """Raise KernelError unless pins can be made under the folder."""
    if not is_bpffs(path):
        raise KernelError(
            f"{path} is not in a BPF file system, so nothing can be pinned there",
            advice="mount -t bpf bpf /sys/fs/bpf",
        )
