"""What an apply must not cut: the session it is typed in, this host, the policy's remote."""

from __future__ import annotations

import os
import socket
import threading
from ipaddress import ip_address
from typing import TYPE_CHECKING

from microseg.cli import terminal
from microseg.gitops.endpoint import endpoint
from microseg.gitops.errors import GitError
from microseg.policy.packet import Packet
from microseg.policy.services import Protocol
from microseg.reconcile.safeguards import Kept, Lifelines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from microseg.config import Settings

_RESOLVE_S = 2.0
_CLIENT_PORT = 49152


def of(settings: Settings) -> Lifelines:
    """Return what must stay reachable; what can't be found out is said and not kept."""
    from microseg.kernel import this_host  # noqa: PLC0415  as in instance

    own = this_host.addresses()
    session = this_host.session(os.environ, os.getpid(), own)
    kept = [Kept("the connection of this session", session)] if session else []
    kept += _remote(settings)
    return Lifelines(tuple(kept), own)


def _remote(settings: Settings) -> Iterator[Kept]:
    url = settings.agent.remote or _remote_url(settings)
    where = endpoint(url)
    if where is None:
        return
    found = _resolve(*where)
    if not found:
        terminal.warn(f"whether {where[0]}, the policy's remote, stays reachable was not checked: no address")
    for address in found:
        source = _source(address, where[1])
        if source:
            packet = Packet(ip_address(source), ip_address(address), Protocol.TCP, where[1], _CLIENT_PORT)
            yield Kept(f"the policy's remote {where[0]}", packet)


def _remote_url(settings: Settings) -> str:
    from microseg.gitops import revisions  # noqa: PLC0415  as in policy_input

    try:
        return revisions.remote_url(settings.policy_dir)
    except GitError:
        return ""


def _resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a host, none when that takes long: names may be what is broken."""
    found: list[str] = []

    def ask() -> None:
        try:
            answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError:
            return
        found.extend(dict.fromkeys(str(answer[4][0]).partition("%")[0] for answer in answers))

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(_RESOLVE_S)
    return list(found)


def _source(address: str, port: int) -> str:
    """Return the address we would call from, empty when there is no route; nothing is sent."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((address, port))
            return str(probe.getsockname()[0])
    except OSError:
        return ""
