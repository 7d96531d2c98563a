from __future__ import annotations

import os
import socket
import subprocess
import sys
from ipaddress import ip_address

import pytest
from kernel.laboratory import run

from microseg.kernel import this_host
from microseg.policy.addresses import AddressSet
from microseg.policy.packet import Packet

OWN = AddressSet.of("10.7.0.1", "2001:db8:7::1")
CHILD = """
import os
from microseg.kernel import this_host
print(this_host.session({}, os.getpid(), this_host.addresses()))
"""


@pytest.fixture
def addressed(namespace: None) -> None:  # noqa: ARG001  # made in it
    run("ip", "link", "add", "one0", "type", "veth", "peer", "name", "two0")
    run("ip", "link", "set", "two0", "up")
    run("ip", "address", "add", "10.7.0.1/24", "dev", "one0")
    run("ip", "address", "add", "2001:db8:7::1/64", "dev", "one0", "nodad")
    run("ip", "link", "set", "one0", "up")


@pytest.mark.usefixtures("addressed")
def test_the_addresses_others_reach_this_host_by() -> None:
    assert this_host.addresses() == OWN


@pytest.mark.parametrize(
    ("connection", "packet"),
    [
        ("10.7.0.9 51234 10.7.0.1 22", Packet(ip_address("10.7.0.9"), ip_address("10.7.0.1"), 6, 22, 51234)),
        (
            "2001:db8::5%one0 4000 2001:db8:7::1 2222",
            Packet(ip_address("2001:db8::5"), ip_address("2001:db8:7::1"), 6, 2222, 4000),
        ),
        ("10.7.0.9 51234 10.8.0.1 22", None),
        ("somebody 1 somewhere 2", None),
        ("10.7.0.9 51234", None),
    ],
)
def test_the_session_by_what_sshd_says(connection: str, packet: Packet | None) -> None:
    assert this_host.session({"SSH_CONNECTION": connection}, 1, OWN) == packet


@pytest.mark.usefixtures("addressed")
@pytest.mark.parametrize("listening", ["10.7.0.1", "::"])
def test_the_session_by_the_process_above_that_accepted_it(listening: str) -> None:
    """As behind sudo: nothing in the environment, and a shell between."""
    family = socket.AF_INET6 if ":" in listening else socket.AF_INET
    dual = family == socket.AF_INET6
    with socket.create_server((listening, 0), family=family, dualstack_ipv6=dual) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("10.7.0.1", port)) as client, server.accept()[0]:
            words = ["sh", "-c", f"{sys.executable} -c '{CHILD}'; true"]
            printed = subprocess.run(words, check=True, capture_output=True, text=True).stdout
            client_port = client.getsockname()[1]
    assert printed == f"10.7.0.1 -> 10.7.0.1 : tcp/{port} from {client_port}\n"


@pytest.mark.usefixtures("addressed")
def test_a_connection_that_was_made_from_here_is_no_session() -> None:
    with socket.create_server(("10.7.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        assert this_host.session({}, os.getpid(), OWN) is None
