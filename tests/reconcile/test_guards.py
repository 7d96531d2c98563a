from __future__ import annotations

from dataclasses import replace
from datetime import date
from ipaddress import ip_address
from pathlib import Path

import pytest
from reconcile.fake import FakeDataPlane
from reconcile.worlds import OPERATOR, host_of, request_for

from microseg.abi_session import Session
from microseg.analysis.examine import examine
from microseg.policy.addresses import AddressSet
from microseg.policy.packet import Packet
from microseg.reconcile.apply import apply, propose, refusal
from microseg.reconcile.attachment import attach
from microseg.reconcile.desired import Desired, desired_of
from microseg.reconcile.errors import ApplyError, GuardError
from microseg.reconcile.safeguards import Kept, Lifelines, Limits
from microseg.reconcile.transaction import Host
from microseg.source import MemoryTree

OPEN = "policy p {\n  allow any -> any\n}"
CLOSED = "group office = 10.0.0.0/8\npolicy p {\n  allow office -> any : tcp/443\n  deny office -> any\n}"
PROTECTED = CLOSED + "\nprotect ssh from 10.0.0.0/8 : tcp/22"
SESSION = Kept(
    "the connection of this session", Packet(ip_address("10.1.1.1"), ip_address("10.9.9.9"), 6, 22, 51234)
)
REMOTE = Kept("the policy's remote", Packet(ip_address("10.9.9.9"), ip_address("10.2.2.2"), 6, 443, 49152))
LIFELINES = Lifelines((SESSION, REMOTE), AddressSet.of("10.9.9.9"))


def compiled(text: str) -> Desired:
    return desired_of(examine(MemoryTree({"p.mseg": text.encode()}), date(2026, 1, 1)), None)


@pytest.fixture
def host(plane: FakeDataPlane, tmp_path: Path) -> Host:
    return host_of(plane, tmp_path)


def test_who_applies_is_not_locked_out(plane: FakeDataPlane, host: Host) -> None:
    request = replace(request_for(compiled(CLOSED)), lifelines=LIFELINES)
    with pytest.raises(GuardError) as caught:
        apply(host, request)
    assert caught.value.message == (
        "it would lock you out: the connection of this session (10.1.1.1 -> 10.9.9.9 : tcp/22 from 51234) "
        "gets deny by `deny office -> any : any` at p.mseg:4; nothing was changed"
    )
    assert "--allow-lockout" in caught.value.advice
    assert not plane.loaded
    assert refusal(propose(host, request)) is not None, "a plan says so as well"

    apply(host, replace(request, allow_lockout=True))
    assert plane.live_generation() == 1


def test_what_is_open_locks_nobody_out(host: Host) -> None:
    assert apply(host, replace(request_for(compiled(OPEN)), lifelines=LIFELINES)).generation == 1


def test_protected_traffic_reaches_this_host(host: Host) -> None:
    request = replace(request_for(compiled(PROTECTED)), lifelines=replace(LIFELINES, kept=()))
    with pytest.raises(
        GuardError, match=r"`protect ssh` at p.mseg:6 keeps \(10\.\S+ -> 10.9.9.9 : tcp/22"
    ) as caught:
        apply(host, request)
    assert "gets deny by `deny office -> any : any` at p.mseg:4" in caught.value.message
    open_to_it = PROTECTED.replace("  deny", "  allow office -> any : tcp/22\n  deny")
    apply(host, replace(request, compile=lambda _: compiled(open_to_it)))


def test_the_remote_of_the_policy_stays_reachable(host: Host) -> None:
    closed = "group out = 10.2.2.2\npolicy p { deny any -> out : tcp/443 }\ndefault allow"
    with pytest.raises(GuardError, match=r"the policy's remote \(10.9.9.9 -> 10.2.2.2 : tcp/443"):
        apply(host, replace(request_for(compiled(closed)), lifelines=LIFELINES))


def test_the_kernel_is_asked_as_well_where_there_is_no_text_to_prove_from(
    plane: FakeDataPlane, host: Host
) -> None:
    entries_only = replace(compiled(CLOSED), compilation=None)
    with pytest.raises(ApplyError) as caught:
        apply(host, replace(request_for(entries_only), lifelines=LIFELINES))
    assert caught.value.step == "probe"
    assert isinstance(caught.value.cause, GuardError)
    assert "gets deny by `deny office -> any : any` at p.mseg:4" in str(caught.value)
    assert not plane.loaded


def rules(count: int, port: int) -> str:
    lines = "\n".join(
        f"  allow any -> 10.3.{number // 250}.{number % 250} : tcp/{port}" for number in range(count)
    )
    return f"policy p {{\n{lines}\n}}"


def test_a_large_change_asks(host: Host) -> None:
    limits = Limits(entries_percent=40)
    apply(host, replace(request_for(compiled(rules(150, 80))), limits=limits))
    with pytest.raises(GuardError, match=r"\d+ of \d+ entries would change: \d+ %, and 40 % may") as caught:
        apply(host, replace(request_for(compiled(rules(150, 81))), limits=limits))
    assert "--allow-blast-radius, or raise entries_percent under [guards]" in caught.value.advice
    apply(host, replace(request_for(compiled(rules(149, 80))), limits=limits))
    apply(host, replace(request_for(compiled(rules(149, 81))), limits=None))


def live_session(number: int) -> Session:
    return Session(
        client=(ip_address(f"10.1.1.{number}"), 40000),
        server=(ip_address("10.9.9.9"), 22),
        protocol=6,
        packets=(1, 1),
        octets=(60, 60),
        last_seen=0,
        idle_limit=1,
        generation=1,
        rule=0,
        cookie=0,
        ifindex=1,
        verdict=compiled(OPEN).compilation.ruleset.ordered()[0].verdict,  # type: ignore[union-attr]
        state=0,  # type: ignore[arg-type]
        flags=0,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(("live", "refused"), [(10, False), (40, True)])
def test_many_sessions_cut_at_once_ask(plane: FakeDataPlane, host: Host, live: int, *, refused: bool) -> None:
    request = replace(request_for(compiled(OPEN)), limits=Limits())
    apply(host, request)
    plane.live_sessions = [live_session(number) for number in range(live)]
    closing = replace(request, compile=lambda _: compiled(CLOSED))
    if refused:
        with pytest.raises(GuardError) as caught:
            apply(host, closing)
        assert caught.value.message.startswith(
            "40 of 40 live sessions would be cut, such as 10.1.1.0 -> 10.9.9.9"
        )
        assert "by deny office -> any : any at p.mseg:4: 100 %, and 25 % may change" in caught.value.message
        closing = replace(closing, limits=Limits(sessions_percent=100))
    assert apply(host, closing).generation == 2


def test_attaching_locks_nobody_out_either(plane: FakeDataPlane, host: Host) -> None:
    apply(host, request_for(compiled(CLOSED)))
    with pytest.raises(
        GuardError, match=r"the connection of this session .* gets deny by `deny office -> any : any`"
    ):
        attach(host, OPERATOR, ["eth1"], None, lifelines=LIFELINES)
    assert "eth1" not in plane.attached
    attach(host, OPERATOR, ["eth0"], None, lifelines=LIFELINES)
    attach(host, OPERATOR, ["eth1"], None)
    assert "eth1" in plane.attached
