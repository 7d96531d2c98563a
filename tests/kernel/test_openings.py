"""Sessions that open live in sets: which one is taken for which, and who makes room for whom."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from itertools import count, islice
from pathlib import Path
from random import Random
from threading import Barrier

import pytest
from kernel.cache_lines import cpus, on
from kernel.laboratory import ANY, Laboratory, allow, link, udp
from kernel.opening_sets import opening
from kernel.planted_faults import Fault, each, is_found, planted
from long_runs import is_long
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Packet as Frame

from microseg.abi_opening import WAYS, openings, places
from microseg.abi_outcome import Outcome
from microseg.kernel.flows import Flows

CLIENT, SERVER = "10.1.1.1", "10.9.9.9"
CLIENT6, SERVER6 = "2001:db8:1::1", "2001:db8:9::9"
FACTOR, WORD = 0x9E3779B97F4A7C15, (1 << 64) - 1
BACK = pow(FACTOR, -1, 1 << 64)
UDP_PROTOCOL = 17
FEW, MANY = 300, 5000


def key_words(src: str, dst: str, sport: int, dport: int) -> list[int]:
    """Return the key of a packet from the lower address, by words as the program reads them."""
    key = ip_address(src).packed + ip_address(dst).packed + struct.pack(">2HB3x", sport, dport, UDP_PROTOCOL)
    return list(struct.unpack(f"<{len(key) // 8}Q", key))


def mixed(words: list[int]) -> int:
    """Return the hash of a key, short of its last steps, which lose nothing."""
    first, *rest = words
    for word in rest:
        first = first * FACTOR & WORD ^ word
    return first


def ends_in(words: list[int], last: int, wanted: int) -> list[int]:
    """Return the words with another one at the end and before it, so that the hash is a wanted one."""
    *head, _, _ = words
    before = (wanted ^ last) * BACK & WORD
    return [*head, before ^ mixed(head) * FACTOR & WORD if head else before, last]


def addresses_of(words: list[int]) -> tuple[str, str]:
    packed = struct.pack(f"<{len(words)}Q", *words)[:-8]
    half = len(packed) // 2
    return str(ip_address(packed[:half])), str(ip_address(packed[half:]))


def can_be(words: list[int]) -> bool:
    """Say whether there may be packets of such a key, and its first address is the lower one."""
    ends = [ip_address(end) for end in addresses_of(words)]
    first, second = (int.from_bytes(end.packed, "little") for end in ends)
    return first < second and all(end.is_global and not end.is_multicast for end in ends)


def another_of_that_hash(src: str, dst: str) -> Frame:
    """Return a packet of other addresses and ports whose key has the hash of one from port 4000 to 53."""
    words = key_words(src, dst, 4000, 53)
    for port in count(5000):
        made = ends_in(words, key_words(src, dst, port, 53)[-1], mixed(words))
        assert mixed(made) == mixed(words)
        if ":" in src or can_be(made):
            return packet(*addresses_of(made), port)
    raise AssertionError


def packet(src: str, dst: str, sport: int, dport: int = 53) -> Frame:
    if ":" in src:
        return link() / IPv6(src=src, dst=dst) / UDP(sport=sport, dport=dport) / b"x"
    return udp(src, dst, sport, dport)


def of_one_set(lab: Laboratory) -> Iterator[Frame]:
    """Yield first packets of sessions that have only one set to go to, all the same."""
    sets = lab.plane.map("opening4").info.max_entries
    high = next(high for high in count(1) if len(set(places(high << 32, sets))) == 1)
    last = key_words(CLIENT, SERVER, 4000, 53)[-1]
    for low in count(1, 2):
        middle = (high << 32 | low) * BACK & WORD
        made = ends_in([0, last], last, middle ^ middle >> 32)
        if can_be(made):
            yield packet(*addresses_of(made), 4000)


def answered(lab: Laboratory, first: Frame) -> bool:
    """Say whether the session is there still, by an answer that only it lets pass."""
    return lab.send(packet(first[IP].dst, first[IP].src, 53, first[UDP].sport)).passed


def is_not_taken_for_another_of_its_hash(lab: Laboratory) -> None:
    lab.enforce(allow(CLIENT, SERVER))
    lab.send(packet(CLIENT, SERVER, 4000))
    assert lab.outcome(another_of_that_hash(CLIENT, SERVER)) is Outcome.DROP_DEFAULT


def is_not_taken_for_another_of_its_hash_of_ipv6(lab: Laboratory) -> None:
    lab.enforce(allow(CLIENT6, SERVER6))
    lab.send(packet(CLIENT6, SERVER6, 4000))
    assert lab.outcome(another_of_that_hash(CLIENT6, SERVER6)) is Outcome.DROP_DEFAULT


def makes_room_for_the_next(lab: Laboratory) -> None:
    """The first that came is the first that goes; the last ones stay."""
    lab.enforce(allow(ANY, ANY, "udp/53"))
    frames = list(islice(of_one_set(lab), WAYS + 2))
    for frame in frames:
        assert lab.outcome(frame) is Outcome.PASS_NEW
    assert len(opening(lab.plane)) == WAYS
    assert [answered(lab, frame) for frame in frames] == [False] * 2 + [True] * WAYS


def is_spared_when_it_was_found_since(lab: Laboratory) -> None:
    lab.enforce(allow(ANY, ANY, "udp/53"))
    busy, *others = islice(of_one_set(lab), 3 * WAYS)
    assert lab.outcome(busy) is Outcome.PASS_NEW
    for frame in others:
        assert lab.outcome(busy) is Outcome.PASS_SESSION
        assert lab.outcome(frame) is Outcome.PASS_NEW


def takes_the_place_of_one_that_left(lab: Laboratory) -> None:
    lab.enforce(allow(ANY, ANY, "udp/53"))
    *frames, last = islice(of_one_set(lab), WAYS + 1)
    for frame in frames:
        lab.send(frame)
    assert answered(lab, frames[3])
    assert lab.outcome(frames[3]) is Outcome.PASS_SESSION
    assert lab.outcome(last) is Outcome.PASS_NEW
    assert all(answered(lab, frame) for frame in (*frames, last))


def finds_room_in_the_other_set(lab: Laboratory) -> None:
    """Two thirds of the places are taken, and nobody has gone."""
    lab.enforce(allow(ANY, ANY))
    sets = lab.plane.map("opening4").info.max_entries
    numbers = Random(1).sample(range(1 << 20), sets * WAYS * 2 // 3)
    clients = [str(ip_address(CLIENT) + number) for number in numbers]
    for client in clients:
        lab.flows.run(bytes(packet(client, SERVER, 4000)).ljust(60, b"\0"))
    assert len(opening(lab.plane)) > 0.99 * len(clients)


def is_found_among_many(lab: Laboratory) -> None:
    lab.enforce(allow(ANY, ANY))
    clients = [str(ip_address(CLIENT) + number) for number in range(FEW)]
    for client in clients:
        lab.flows.run(bytes(packet(client, SERVER, 4000)).ljust(60, b"\0"))
    assert sorted(str(one.client[0]) for one in opening(lab.plane)) == sorted(clients)
    lab.enforce()
    for client in clients:
        assert lab.outcome(packet(SERVER, client, 53, 4000)) is Outcome.DROP_REVOKED
    assert opening(lab.plane) == []


SCENES: tuple[Callable[[Laboratory], None], ...] = (
    is_not_taken_for_another_of_its_hash,
    is_not_taken_for_another_of_its_hash_of_ipv6,
    makes_room_for_the_next,
    is_spared_when_it_was_found_since,
    takes_the_place_of_one_that_left,
    finds_room_in_the_other_set,
    is_found_among_many,
)


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_a_session_that_opens(lab: Laboratory, scene: Callable[[Laboratory], None]) -> None:
    scene(lab)


def test_hash_and_places_are_what_user_space_believes(lab: Laboratory) -> None:
    lab.enforce(allow(ANY, ANY))
    for port in range(4000, 4000 + FEW):
        lab.send(packet(CLIENT, SERVER, port))
    sets = lab.plane.map("opening4")
    found = [
        (int.from_bytes(place, "little"), one)
        for place, value in sets.entries().items()
        for one in openings(value, sets.info.value_size)
    ]
    assert len(found) == FEW
    for place, one in found:
        assert one.tag == tag_of(one.key)
        assert place in places(one.tag, sets.info.max_entries)
    assert {places(one.tag, sets.info.max_entries).index(place) for place, one in found} == {0, 1}


def tag_of(key: bytes) -> int:
    """Return the hash that the program makes of a key of IPv4."""
    hash_ = mixed(list(struct.unpack("<2Q", key)))
    return (hash_ ^ hash_ >> 32) * FACTOR & WORD | 1


def test_processors_that_write_to_one_set_at_once(lab: Laboratory) -> None:
    """Each packet passes, and no session is found but those that are there, under their own hash."""
    lab.enforce(allow(ANY, ANY, "udp/53"))
    frames = list(islice(of_one_set(lab), 3 * WAYS))
    together = Barrier(len(cpus()))

    def send(cpu: int) -> bool:
        mine, order = Flows(lab.plane, lab.hook), Random(cpu)
        chosen = [bytes(order.choice(frames)).ljust(60, b"\0") for _ in range(MANY)]
        with on(cpu):
            together.wait()
            return all(mine.run(frame).passed for frame in chosen)

    with ThreadPoolExecutor(len(cpus())) as threads:
        assert all(threads.map(send, cpus()))
    sets = lab.plane.map("opening4")
    found = [one for value in sets.entries().values() for one in openings(value, sets.info.value_size)]
    there = {one.key for one in found if one.tag == tag_of(one.key)}
    assert there
    for frame in frames:
        src, dst = frame[IP].src, frame[IP].dst
        key = struct.pack("<2Q", *key_words(src, dst, frame[UDP].sport, 53))
        assert answered(lab, frame) == (key in there)


SAME4 = "return key[0] == word[0] && key[1] == word[1];"
SAME6 = "return key[0] == word[0] && key[1] == word[1] && key[2] == word[2]"
IN_EVERY_RUN = (Fault("the hash is enough", "opening.h", SAME4, "return 1;"),)
IN_LONG_RUNS = (
    Fault("the hash is enough, IPv6", "opening.h", SAME6, "return 1 || key[2] == word[2]"),
    Fault("always the first one goes", "opening.h", "set->turn = way + 1;", "set->turn = 0;"),
    Fault("nobody is spared", "opening.h", "set->recent |= 1U << way;", ";"),
    Fault("free ways aren't seen", "opening.h", "way = free ?", "way = 0 ?"),
    Fault("never the second set", "opening.h", "if (ms_opening_number(others) > ", "if (0 > "),
    Fault(
        "only looked for in the first set", "opening.h", "return session ? session :", "return 1 ? session :"
    ),
    Fault("never deleted", "opening.h", "if (set->tag[way] == tag)\n\t\t\tset->tag[way] = 0;", ";"),
)


@each(*IN_EVERY_RUN, *(IN_LONG_RUNS if is_long() else ()))
@pytest.mark.compiles
def test_a_planted_fault_is_found(fault: Fault, bpffs: Path, tmp_path: Path) -> None:
    with planted(fault, bpffs / "mistaken", tmp_path) as lab:
        assert is_found(lab, SCENES)


EARLY = Fault(
    "the session is established a moment after it was looked for",
    "filter.h",
    "\tif (!ms_session_steady(session, generation, now)) {\n",
    "\tif (!ms_session_steady(session, generation, now)) {\n\t\tpacket->absent = 1;\n",
)
NOT_AGAIN = Fault("it isn't looked for again", "judge.h", "ms_session_find(&rest->packet)) {", "0) {")


def is_found_before_an_answer_is_denied(lab: Laboratory) -> None:
    """Under another policy, so that its packets come this far; the server may not open a session."""
    for first in (packet(CLIENT, SERVER, 4000), packet(CLIENT6, SERVER6, 4000)):
        network = IP if IP in first else IPv6
        answer = packet(first[network].dst, first[network].src, 53, 4000)
        rules = allow(CLIENT, SERVER), allow(CLIENT6, SERVER6)
        lab.enforce(*rules)
        assert [lab.outcome(frame) for frame in (first, answer, first)] == [
            Outcome.PASS_NEW,
            Outcome.PASS_SESSION,
            Outcome.PASS_SESSION,
        ]
        lab.enforce(*rules)
        assert lab.outcome(answer) is Outcome.PASS_REJUDGED
        lab.enforce()
        assert lab.outcome(answer) is Outcome.DROP_REVOKED


@pytest.mark.parametrize("more", [(), (NOT_AGAIN,)] if is_long() else [()], ids=len)
@pytest.mark.compiles
def test_a_session_that_another_processor_has_just_established(
    more: tuple[Fault, ...], bpffs: Path, tmp_path: Path
) -> None:
    """It was not among the established ones when it was looked for, nor is it among those that open."""
    with planted(EARLY, bpffs / "early", tmp_path, *more) as lab:
        assert is_found(lab, (is_found_before_an_answer_is_denied,)) == bool(more)
