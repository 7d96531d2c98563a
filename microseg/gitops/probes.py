"""TCP connections that must go on working: what tells a good policy from one that cuts too much."""

from __future__ import annotations

import selectors
import socket
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from microseg.agent_settings import Endpoint

TIMEOUT_S = 2.0
"""For all connections together, which are tried at once."""


def failing(endpoints: Sequence[Endpoint], timeout_s: float = TIMEOUT_S) -> tuple[str, ...]:
    """Return the endpoints that no TCP connection can be opened to now, as they are written."""
    with ExitStack() as opened, selectors.DefaultSelector() as selector:
        waiting = set(endpoints)
        for endpoint in endpoints:
            with suppress(OSError):
                selector.register(opened.enter_context(_begin(endpoint)), selectors.EVENT_WRITE, endpoint)
        until = time.monotonic() + timeout_s
        while selector.get_map() and (left_s := until - time.monotonic()) > 0:
            for key, _ in selector.select(left_s):
                selector.unregister(key.fileobj)
                assert isinstance(key.fileobj, socket.socket)
                if not key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    waiting.discard(key.data)
    return tuple(_text(endpoint) for endpoint in endpoints if endpoint in waiting)


def _begin(endpoint: Endpoint) -> socket.socket:
    """Begin to connect; raises OSError when the address can't be one, or can't be reached at all."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        endpoint.address, endpoint.port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
    )[0]
    made = socket.socket(family, kind, protocol)
    made.setblocking(False)  # noqa: FBT003  the socket's own signature
    try:
        made.connect(address)
    except BlockingIOError:
        return made
    except BaseException:
        made.close()
        raise
    return made


def _text(endpoint: Endpoint) -> str:
    address = f"[{endpoint.address}]" if ":" in endpoint.address else endpoint.address
    return f"{address}:{endpoint.port}"
