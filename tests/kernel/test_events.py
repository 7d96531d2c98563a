"""Events: how many come through, and that none is lost without being counted."""

from __future__ import annotations

from dataclasses import replace

from kernel.laboratory import Laboratory, allow, tcp
from scapy.layers.inet import ICMP, IP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from microseg.abi_flow import EVENT_SIZE, Direction
from microseg.abi_outcome import Outcome
from microseg.kernel.packet_run import FrameContext
from microseg.kernel.shapes import EVENT_BUFFER_BYTES

DENIED = bytes(tcp("10.1.1.1", "10.1.2.1", 40000, 22)).ljust(60, b"\0")


def test_each_cpu_sends_so_many_events_a_second(lab: Laboratory) -> None:
    lab.enforce()
    lab.plane.write_settings(replace(lab.plane.read_settings(), events_per_s=10))
    lab.await_next_second()
    before = lab.stats()
    lab.flows.run(DENIED, repeat=1000)
    after = lab.stats()
    sent, limited = (after.events_sent - before.events_sent, after.events_limited - before.events_limited)
    assert sent + limited == 1000
    assert 10 <= sent <= 20, "a second may end while they are sent, but not two"
    assert len(lab.events()) == sent


def test_events_that_find_no_room_are_counted(lab: Laboratory) -> None:
    lab.enforce()
    before = lab.stats()
    more_than_fit = EVENT_BUFFER_BYTES // EVENT_SIZE + 1000
    lab.flows.run(DENIED, repeat=more_than_fit)
    after = lab.stats()
    lost = after.events_lost - before.events_lost
    assert lost >= 1000
    assert after.events_sent - before.events_sent == more_than_fit - lost
    assert after.dropped - before.dropped == more_than_fit
    assert len(lab.events()) == more_than_fit - lost


def test_the_buffer_is_read_round_and_round(lab: Laboratory) -> None:
    lab.enforce()
    with lab.flows.events() as reader:
        for _ in range(4):
            lab.flows.run(DENIED, repeat=5000)
            events = list(reader.read(timeout_s=1))
            assert len(events) == 5000
            assert {event.outcome for event in events} == {Outcome.DROP_DEFAULT}
            assert [event.boot_ns for event in events] == sorted(event.boot_ns for event in events)


def test_no_events_are_waited_for_no_longer_than_asked(lab: Laboratory) -> None:
    with lab.flows.events() as reader:
        assert list(reader.read(timeout_s=0.05)) == []


def test_passing_packets_send_none(lab: Laboratory) -> None:
    lab.enforce(allow("0.0.0.0/0", "0.0.0.0/0"))
    lab.open_tcp()
    assert lab.events() == []


def test_ipv6_endpoints_and_interface(lab: Laboratory) -> None:
    lab.enforce()
    frame = Ether() / IPv6(src="2001:db8::1", dst="2001:db8::2", nh=47) / b"gre"
    lab.send(frame, Direction.INGRESS, FrameContext(ifindex=1))
    (event,) = lab.events()
    assert event.ifindex == 1
    assert event.source is not None
    assert event.destination is not None
    assert (str(event.source[0]), str(event.destination[0])) == ("2001:db8::1", "2001:db8::2")
    assert event.protocol == 47


def test_icmp_names_type_and_code(lab: Laboratory) -> None:
    lab.enforce()
    lab.send(Ether() / IP(src="10.1.1.1", dst="10.1.2.1") / ICMP(type=8, id=99))
    (event,) = lab.events()
    assert (event.source, event.destination) != (None, None)
    assert event.source is not None
    assert event.destination is not None
    assert (event.source[1], event.destination[1]) == (0, 8 << 8)


def test_clock_of_events_is_the_time_since_boot(lab: Laboratory) -> None:
    lab.enforce()
    began = lab.plane.boot_time_s()
    lab.flows.run(DENIED)
    (event,) = lab.events()
    assert began <= event.boot_ns // 1_000_000_000 <= lab.plane.boot_time_s()
