"""What goes over the two pipes of a confined compiler: frames of a kind and bytes.

Nothing here trusts the other side: lengths are bounded, and a frame that comes late, cut short or of a kind
that isn't expected is an error.
"""

from __future__ import annotations

import os
import select
import struct
import time
from enum import Enum

CONTENT_LIMIT = 64 << 20
"""Largest file, and all that is said about a policy, in bytes."""

IMAGE_LIMIT = 512 << 20
"""Largest image, in bytes: far more than the largest maps hold."""

_HEAD = struct.Struct(">cI")
_CHUNK = 1 << 20


class Kind(Enum):
    """What a frame is."""

    READY = b"K"
    """The process is confined."""
    JOB = b"J"
    """A job: JSON."""
    READ = b"R"
    """A file is wanted: its path."""
    CONTENT = b"C"
    """A file's content."""
    UNREADABLE = b"U"
    """Why a file can't be read."""
    IMAGE = b"I"
    """The image, if it comes to that. Whether the policy is accepted isn't known yet."""
    CHANGES = b"D"
    """Instead of an image: its difference to the one before. What is said is a difference then as well."""
    SAID = b"S"
    """All that is said about the policy, and whether it is accepted: JSON."""
    RENEW = b"N"
    """What the process knows of earlier policies is to be forgotten: it ends, and another one follows."""
    BROKEN = b"B"
    """The compiler met a mistake of its own: its words."""
    MEMORY = b"M"
    """The job took all the memory it may."""


class WireError(Exception):
    """The other side said something that it must not say, or nothing."""


class ClosedError(WireError):
    """The other side is gone."""


def send(descriptor: int, kind: Kind, payload: bytes = b"", deadline: float | None = None) -> None:
    """Write a frame; with a deadline the descriptor must not block.

    Raises:
        ClosedError: the other side is gone.
        WireError: it doesn't read in time.

    """
    left = memoryview(_HEAD.pack(kind.value, len(payload)) + payload)
    while left:
        if deadline is not None and not _is_ready(descriptor, select.POLLOUT, deadline):
            raise WireError("no answer in time")
        try:
            left = left[os.write(descriptor, left[:_CHUNK]) :]
        except BrokenPipeError as error:
            raise ClosedError("no answer any more") from error


def receive(descriptor: int, deadline: float | None = None) -> tuple[Kind, bytes]:
    """Read a frame.

    Args:
        descriptor: of the pipe.
        deadline: on the monotonic clock; None: wait for ever.

    Raises:
        ClosedError: the other side is gone.
        WireError: it is no frame, is too long, or comes too late.

    """
    first, length = _HEAD.unpack(_exactly(descriptor, _HEAD.size, deadline))
    try:
        kind = Kind(first)
    except ValueError as error:
        raise WireError(f"a frame of the unknown kind {first!r}") from error
    limit = IMAGE_LIMIT if kind in (Kind.IMAGE, Kind.CHANGES) else CONTENT_LIMIT
    if length > limit:
        raise WireError(f"a frame of {length} bytes, where {limit} are allowed")
    return kind, _exactly(descriptor, length, deadline)


def _exactly(descriptor: int, count: int, deadline: float | None) -> bytes:
    parts = []
    while count:
        if deadline is not None and not _is_ready(descriptor, select.POLLIN, deadline):
            raise WireError("no answer in time")
        part = os.read(descriptor, min(count, _CHUNK))
        if not part:
            raise ClosedError("no answer any more")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _is_ready(descriptor: int, event: int, deadline: float) -> bool:
    left_s = deadline - time.monotonic()
    poll = select.poll()
    poll.register(descriptor, event)
    return left_s > 0 and bool(poll.poll(left_s * 1000))
