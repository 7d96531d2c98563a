"""Which host and port a git URL leads to."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

PORTS = {"ssh": 22, "git+ssh": 22, "https": 443, "http": 80, "git": 9418}
_LIKE_SCP = re.compile(r"(?:[^@/:]+@)?(\[[0-9a-fA-F:.]+\]|[^/:\[\]]+):(?!//)")
"""USER@HOST:PATH, as ssh reads it."""


def endpoint(url: str) -> tuple[str, int] | None:
    """Return host and TCP port of a URL; None for a path or anything else that needs no network."""
    try:
        parts = urlsplit(url)
        if parts.scheme in PORTS and parts.hostname:
            return parts.hostname, parts.port or PORTS[parts.scheme]
    except ValueError:
        return None
    if "://" in url:
        return None
    like_scp = _LIKE_SCP.match(url)
    return (like_scp[1].strip("[]"), PORTS["ssh"]) if like_scp else None
