"""Compiling in confinement: the same as without, and nothing that comes out of it is trusted."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date
from ipaddress import ip_address
from pathlib import Path

import pytest
from cli.terminal_session import BROKEN, FAILING, SHOP

from microseg.abi import PolicyMap, encode
from microseg.analysis.examine import examine
from microseg.confined import worker
from microseg.confined.errors import ConfinedCompilerError, TooCostlyError
from microseg.confined.limits import Limits
from microseg.confined.messages import (
    Said,
    contents_from_bytes,
    contents_to_bytes,
    said_from_bytes,
    said_to_bytes,
)
from microseg.confined.worker import ConfinedCompiler
from microseg.policy.addresses import AddressSet
from microseg.policy.packet import Packet
from microseg.policy.rules import Verdict
from microseg.reconcile import proving
from microseg.reconcile.desired import Desired, desired_of
from microseg.reconcile.errors import NoPolicyError, PolicyError
from microseg.reconcile.evidence import Evidence, Expected
from microseg.reconcile.safeguards import Kept, Lifelines
from microseg.source import MemoryTree

TODAY = date(2026, 3, 1)
LIST = b"10.9.0.0/16\n192.0.2.1\n"
LISTED = SHOP.replace("policy shop", 'group bad = file("lists/bad.netset")\npolicy shop').replace(
    "  deny ", "  deny bad -> db\n  deny "
)


@pytest.fixture(scope="module")
def compiler() -> Iterator[ConfinedCompiler]:
    with ConfinedCompiler() as made:
        yield made


def tree_of(text: str) -> MemoryTree:
    return MemoryTree({"shop.mseg": text.encode(), "lists/bad.netset": LIST})


def here(tree: MemoryTree) -> Desired:
    return desired_of(examine(tree, TODAY), None)


@pytest.mark.parametrize("text", [SHOP, LISTED, FAILING], ids=["shop", "with a list", "failing"])
def test_what_comes_out_is_what_compiling_here_makes(compiler: ConfinedCompiler, text: str) -> None:
    confined, expected = compiler(tree_of(text), None, TODAY, None), here(tree_of(text))
    assert confined.contents == expected.contents
    assert confined.names == expected.names
    assert confined.warnings == expected.warnings
    assert confined.failures == expected.failures
    for path, content in confined.sources.items():
        assert expected.sources[path] == content


def test_the_guards_get_what_they_would_get_here(compiler: ConfinedCompiler) -> None:
    text = "protect ssh from any4 : tcp/22\npolicy p priority 1 { allow any -> any : tcp/80, icmp }\n" + SHOP
    way = Packet(ip_address("192.0.2.1"), ip_address("10.7.0.1"), 6, 22, 49152)
    lifelines = Lifelines((Kept("the connection", way),), AddressSet.of("10.7.0.1", "2001:db8:7::/64"))
    compilation = examine(tree_of(text), TODAY).compilation
    expected = proving.evidence_of(compilation, lifelines)
    assert compiler(tree_of(text), None, TODAY, None, lifelines).evidence == expected
    assert any("protect ssh" in cut for cut in expected.cuts)
    assert any("the connection" in cut for cut in expected.cuts)
    assert {one.packet for one in expected.expected} > {way}
    assert {one.verdict for one in expected.expected} >= {Verdict.ALLOW, Verdict.DENY}


def test_evidence_is_checked() -> None:
    packet = Packet(ip_address("::1"), ip_address("::2"), 6, 80, 1)
    one = Expected(packet, Verdict.DENY, rule=1 << 31, log=True, by="x")
    said = Said((), (), {}, evidence=Evidence(("a cut",), (one,)))
    data = said_to_bytes(said).decode()
    assert said_from_bytes(data.encode()) == said
    for old, new in (
        ('"a cut"', "7"),
        ("[6, 1, 2,", "[4, 1, 4294967296,"),
        ("[6, 1, 2,", "[5, 1, 2,"),
        ("[6, 1, 2,", '[6, "x", 2,'),
        ("[6, 1, 2,", "[6, -1, 2,"),
        ("6, 80, 1", "256, 80, 1"),
        ("6, 80, 1", "6, 65536, 1"),
        ("2, 2147483648", "9, 2147483648"),
        ("2147483648", "4294967296"),
        ("true", "1"),
        ('"x"]', '"x", 1]'),
    ):
        assert old in data
        with pytest.raises(ValueError, match=r"not |valid|appear"):
            said_from_bytes(data.replace(old, new).encode())


def test_a_wrong_policy_is_told_as_here(compiler: ConfinedCompiler) -> None:
    with pytest.raises(PolicyError) as confined:
        compiler(tree_of(BROKEN), None, TODAY, None)
    with pytest.raises(PolicyError) as expected:
        here(tree_of(BROKEN))
    assert confined.value.diagnostics == expected.value.diagnostics
    assert confined.value.sources["shop.mseg"] == BROKEN


def test_files_that_cannot_be_read_and_odd_names(compiler: ConfinedCompiler) -> None:
    odd = os.fsdecode(b"od\xff\n.mseg")
    with pytest.raises(PolicyError) as caught:
        compiler(MemoryTree({odd: b'group a = file("none")\npolicy p {'}), None, TODAY, None)
    assert {each.span.path for each in caught.value.diagnostics} == {odd}
    assert any("no such file" in each.message for each in caught.value.diagnostics)


def test_the_day_the_audit_and_the_room_count(compiler: ConfinedCompiler) -> None:
    tree = tree_of(SHOP)
    audited = compiler(tree, None, TODAY, None, audit=True).contents
    assert audited == encode_of(tree, audit=True)
    with pytest.raises(PolicyError, match="wrong") as caught:
        compiler(tree, None, TODAY, dict.fromkeys(PolicyMap, 1))
    assert caught.value.diagnostics[0].code.value == "MS403"


def encode_of(tree: MemoryTree, *, audit: bool) -> object:
    image = examine(tree, TODAY, audit=audit).compilation.image
    assert image is not None
    return encode(image)


def test_no_policy_is_no_wish_to_deny_everything(compiler: ConfinedCompiler) -> None:
    with pytest.raises(NoPolicyError):
        compiler(MemoryTree({"README": b""}), None, TODAY, None)


def test_the_process_is_unprivileged_and_kept(compiler: ConfinedCompiler) -> None:
    compiler(tree_of(SHOP), None, TODAY, None)
    assert compiler.pid is not None
    first = compiler.pid
    lines = Path(f"/proc/{first}/status").read_text().splitlines()
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
    assert "0" not in status["Uid"].split()
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    compiler(tree_of(SHOP), None, TODAY, None)
    assert compiler.pid == first


def test_this_side_imports_neither_parser_nor_analysis() -> None:
    code = (
        "import sys; from microseg.confined import worker\n"
        "print([m for m in sys.modules if m.startswith(('lark', 'microseg.analysis', 'microseg.lang'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"


def endless() -> str:
    """Return a policy that takes many seconds: as many rules as a file may hold."""
    rules = (
        f"allow 10.{i >> 8}.{i & 255}.0/25 -> 10.{i & 255}.{i >> 8}.1 : tcp/{i + 1}" for i in range(40_000)
    )
    return "policy p {\n" + "\n".join(rules) + "\n}\n"


@pytest.mark.parametrize(
    ("limits", "text", "message"),
    [
        (Limits(cpu_s=1), endless(), "1 s of processor time"),
        (Limits(memory=1 << 25), "# " + "x" * (3 << 20), "32 MiB of memory"),
        (Limits(text=100), SHOP, "MiB of text"),
        (Limits(files=0), SHOP, "1 files, more than 0"),
    ],
    ids=["time", "memory", "text", "files"],
)
def test_too_much_of_anything_is_refused_for_good(limits: Limits, text: str, message: str) -> None:
    with ConfinedCompiler(limits) as tight, pytest.raises(TooCostlyError, match=message):
        tight(tree_of(text), None, TODAY, None)


def hostile(monkeypatch: pytest.MonkeyPatch, code: str, wall_s: float = 30) -> ConfinedCompiler:
    """Return a compiler whose process isn't ours: it says K, then does something else."""
    lead = (
        "import os, sys, struct, time, json\n"
        "def say(kind, payload=b'', length=None):\n"
        "    count = len(payload) if length is None else length\n"
        "    os.write(1, struct.pack('>cI', kind, count) + payload)\n"
        "say(b'K')\n"
        "os.read(0, 65536)\n"
    )
    monkeypatch.setattr(worker, "COMMAND", (sys.executable, "-S", "-c", lead + code))
    return ConfinedCompiler(Limits(wall_s=wall_s))


ACCEPTED = said_to_bytes(Said((), (), {}, accepted=True))
IMAGE = contents_to_bytes(desired_of(examine(MemoryTree({"a.mseg": SHOP.encode()}), TODAY), None).contents)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("say(b'S', b'', 1 << 31); time.sleep(60)", "are allowed"),
        ("say(b'Z')", "unknown kind"),
        ("say(b'K')", "READY where SAID was expected"),
        ("say(b'D', bytes(80))", "CHANGES where IMAGE was expected"),
        ("say(b'S', b'not JSON')", "Expecting value"),
        ("say(b'S', b'[' * 100000)", "not what is said"),
        ("say(b'S', b'cos\\nsystem\\n(S\"id\"\\ntR.')", "failed"),
        (f"say(b'S', {ACCEPTED!r})", "accepted that has no image"),
        (f"say(b'I', {IMAGE!r}); say(b'I', {IMAGE!r})", "IMAGE where SAID was expected"),
        (f"say(b'I', bytes(44)); say(b'S', {ACCEPTED!r})", "cut short"),
        (f"say(b'I', b'x'); say(b'S', {ACCEPTED!r})", "cut short|failed"),
        ("say(b'S', b'{}')", "not what is said"),
        ("say(b'B', b'a mistake of ours')", "a mistake of ours"),
        ("sys.exit(3)", "status 3"),
        ("os.write(1, b'S')", "status 0"),
    ],
)
def test_whatever_the_process_says_it_only_fails(
    monkeypatch: pytest.MonkeyPatch, code: str, message: str
) -> None:
    with hostile(monkeypatch, code) as compiler, pytest.raises(ConfinedCompilerError, match=message):
        compiler(tree_of(SHOP), None, TODAY, None)
    assert compiler.pid is None


def test_an_image_that_is_not_accepted_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    image = contents_to_bytes(here(tree_of(SHOP)).contents)
    for accepted in (True, False):
        said = said_to_bytes(Said((), (), {}, accepted=accepted))
        with hostile(monkeypatch, f"say(b'I', {image!r}); say(b'S', {said!r})") as compiler:
            if accepted:
                assert contents_to_bytes(compiler(tree_of(SHOP), None, TODAY, None).contents) == image
            else:
                with pytest.raises(PolicyError):
                    compiler(tree_of(SHOP), None, TODAY, None)


@pytest.mark.parametrize(
    "code", ["time.sleep(60)", "say(b'R', b'big'); time.sleep(60)", "while True: say(b'R', b'x')"]
)
def test_a_process_that_stalls_is_ended(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    tree = MemoryTree({"a.mseg": b"", "big": bytes(1 << 21)})
    began = time.monotonic()
    late = pytest.raises(ConfinedCompilerError, match="no answer in time")
    with hostile(monkeypatch, code, 1.5) as stalling, late:
        stalling(tree, None, TODAY, None)
    assert time.monotonic() - began < 30


def test_only_files_of_the_policy_are_handed_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from microseg.source import DirectoryTree  # noqa: PLC0415  only here

    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "a.mseg").write_text("")
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "p" / "link").symlink_to("../secret")
    code = (
        "said = b''\n"
        "for path in (b'../secret', b'/etc/shadow', b'link', b'a.mseg'):\n"
        "    say(b'R', path); said += os.read(0, 4096)[:1]\n"
        "say(b'B', said)\n"
    )
    with hostile(monkeypatch, code) as compiler, pytest.raises(ConfinedCompilerError, match="UUUC"):
        compiler(DirectoryTree(tmp_path / "p"), None, TODAY, None)


def test_reading_back_is_exact() -> None:
    contents = here(tree_of(LISTED)).contents
    data = contents_to_bytes(contents)
    assert contents_from_bytes(data) == contents
    for broken in (data[:-1], data + b"x", data[:60], b"", flip(data, 100), flip(data, len(data) - 1)):
        with pytest.raises(ValueError, match=r"image|ascending|cut short|bytes behind|valid"):
            contents_from_bytes(broken)


def flip(data: bytes, at: int) -> bytes:
    return data[:at] + struct.pack("B", data[at] ^ 1) + data[at + 1 :]


def test_places_and_codes_are_checked() -> None:
    with pytest.raises(PolicyError) as caught:
        here(tree_of(BROKEN))
    data = said_to_bytes(Said(caught.value.diagnostics, (), {}))
    assert said_from_bytes(data).diagnostics == caught.value.diagnostics
    for old, new in (("MS202", "MS999"), ('"error"', '"fatal"'), ("1, 13", "-1, 13"), ("1, 13", '"1", 13')):
        assert old in data.decode()
        with pytest.raises(ValueError, match=r"not |valid"):
            said_from_bytes(data.decode().replace(old, new).encode())
