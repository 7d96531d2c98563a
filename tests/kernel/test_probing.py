"""The standby slot is asked about packets before it judges any."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from ipaddress import ip_address

import pytest
from kernel.laboratory import Laboratory, allow

from microseg.abi import PolicyMap, encode
from microseg.analysis.examine import examine
from microseg.compiler.pipeline import Compilation
from microseg.policy.frames import write_frame
from microseg.policy.packet import Packet
from microseg.reconcile import probing, proving, staging
from microseg.reconcile.dataplane import KernelError
from microseg.reconcile.desired import names_of
from microseg.reconcile.errors import ProbeError
from microseg.reconcile.observed import read_observed, read_slot
from microseg.reconcile.records import Names
from microseg.source import MemoryTree

pytestmark = pytest.mark.only_tc

POLICY = """\
group web = 10.1.1.0/24, 2001:db8:1::/64
group db  = 10.1.3.10 - 10.1.3.19
policy shop priority 100 {
  allow web -> db : tcp/5432 log
  reject any -> db : udp/53
  allow db <-> web : icmp/echo-request, icmpv6, proto/47
}
policy trial mode audit { deny any -> web : tcp/23 }
default deny log
test "the database listens to the web" { expect allow web & any4 -> db : tcp/5432 }
"""

PACKET = Packet(ip_address("10.1.1.1"), ip_address("10.1.3.10"), 6, 5432, 49152)


@dataclass(frozen=True)
class Staged:
    """A policy in the standby slot."""

    generation: int
    compilation: Compilation
    names: Names


def stage(lab: Laboratory, text: str = POLICY) -> Staged:
    compilation = examine(MemoryTree({"shop.mseg": text.encode()}), date(2026, 1, 1)).compilation
    assert compilation.image
    observed = read_observed(lab.plane)
    generation, slot = observed.next_generation(), observed.standby
    contents = encode(compilation.image)
    staging.stage(lab.plane, slot, read_slot(lab.plane, slot), contents, generation)
    return Staged(generation, compilation, names_of(compilation.image))


def probe(lab: Laboratory, staged: Staged) -> None:
    probing.probe(lab.plane, staged.generation, proving.expected(staged.compilation), staged.names)


def test_a_sound_slot_agrees_and_nothing_live_takes_part(lab: Laboratory) -> None:
    lab.enforce(allow("10.9.0.0/16", "10.9.0.0/16"))
    lab.open_tcp(src="10.9.0.1", dst="10.9.0.2")
    staged = stage(lab)
    before = lab.stats(), lab.sessions(), dict(lab.plane.rule_counts()), lab.plane.read_root()

    probe(lab, staged)

    assert (lab.stats(), lab.sessions(), dict(lab.plane.rule_counts()), lab.plane.read_root()) == before
    assert lab.events() == []


def test_an_entry_that_says_something_else_is_found(lab: Laboratory) -> None:
    staged = stage(lab)
    slot = staged.generation & 1
    rule_id = next(number for number, one in staged.names.rules.items() if "tcp/5432" in one.text)
    entries = lab.plane.read_map(slot, PolicyMap.POLICY).entries()
    altered = {
        key: value[:8] + b"\x02" + value[9:]
        for key, value in entries.items()
        if value[4:8] == rule_id.to_bytes(4, "little")
    }
    lab.plane.write_entries(slot, PolicyMap.POLICY, altered, [])

    with pytest.raises(ProbeError) as caught:
        probe(lab, staged)

    assert "10.1.1.1 -> 10.1.3.10 : tcp/5432 from 49152 should get allow" in caught.value.message
    assert "by allow web -> db : tcp/5432 at shop.mseg:4, and would get deny" in caught.value.message


def test_a_lost_address_is_found(lab: Laboratory) -> None:
    staged = stage(lab)
    slot = staged.generation & 1
    entries = lab.plane.read_map(slot, PolicyMap.IPCACHE6).entries()
    lab.plane.write_entries(slot, PolicyMap.IPCACHE6, {}, list(entries))
    with pytest.raises(ProbeError, match="2001:db8:1::"):
        probe(lab, staged)


def test_a_slot_of_another_generation_cannot_be_asked(lab: Laboratory) -> None:
    staged = stage(lab)
    with pytest.raises(KernelError, match="holds another generation"):
        lab.plane.judge([write_frame(PACKET)], staged.generation + 2)
