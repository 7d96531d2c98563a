"""Waking the agent when files change; the only module that knows watchdog.

An event says only that it's time to look. Whatever gets lost (a queue that overflows, a file system without
events) is found by the look on the interval, or by `poll_s` where events can't be relied on.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Self

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from watchdog.observers.api import ObservedWatch

    from microseg.gitops.inbox import Inbox, Message
    from microseg.gitops.sources import Watched

QUIET = frozenset({"opened", "closed_no_write"})
"""Events of those who only read; the agent itself is one of them."""

EVENTLESS = frozenset({"9p", "afs", "ceph", "cifs", "fuse", "fuseblk", "glusterfs", "lustre", "nfs", "nfs4",
                       "smb3", "smbfs", "vboxsf", "virtiofs"})  # fmt: skip
"""File systems that others write to without this kernel's hearing of it."""

MOUNTS = Path("/proc/self/mountinfo")


class Watcher:
    """Watches folders, whichever of them exist, and puts messages into an inbox."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._observer = Observer()
        self._watches: dict[Watched, tuple[ObservedWatch, int]] = {}

    def __enter__(self) -> Self:
        self._observer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._observer.stop()
        self._observer.join()

    def watch(self, folders: Iterable[tuple[Watched, Message]]) -> None:
        """Watch these folders and no others; one that was made anew is another folder of the same name."""
        wanted = dict(folders)
        for watched, (watch, inode) in list(self._watches.items()):
            if watched not in wanted or _inode(watched.path) != inode:
                del self._watches[watched]
                with contextlib.suppress(KeyError, OSError):
                    self._observer.unschedule(watch)
        for watched, message in wanted.items():
            inode = _inode(watched.path)
            if watched not in self._watches and inode:
                with contextlib.suppress(OSError):  # gone again
                    self._watches[watched] = self._schedule(watched, message), inode

    def _schedule(self, watched: Watched, message: Message) -> ObservedWatch:
        handler = _Handler(lambda: self._inbox.put(message), watched.names)
        return self._observer.schedule(handler, str(watched.path), recursive=not watched.names)


class _Handler(FileSystemEventHandler):
    def __init__(self, tell: Callable[[], None], names: frozenset[str]) -> None:
        self._tell = tell
        self._names = names

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Tell, unless somebody only reads, or it's about another file: the agent's own, for one."""
        touched = {Path(os.fsdecode(path)).name for path in (event.src_path, event.dest_path)}
        if event.event_type not in QUIET and (not self._names or touched & self._names):
            self._tell()


def has_events(folder: Path, mounts: Path = MOUNTS) -> bool:
    """Say whether changes in a folder are heard of, whoever makes them; False on network file systems."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return True
    place = os.path.realpath(folder)
    best, kind = -1, ""
    for line in lines:
        left, _, right = line.partition(" - ")
        where = left.split(" ")[4].replace("\\040", " ")
        if place == where or place.startswith(where.rstrip("/") + "/"):
            best, kind = max((best, kind), (len(where), right.split(" ")[0]))
    return kind.partition(".")[0] not in EVENTLESS


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return 0
