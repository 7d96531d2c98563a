"""The loader process: what it makes, what it keeps, and that a failure leaves nothing behind."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from kernel.borrowed import Lender
from kernel.laboratory import Laboratory, allow, tcp
from kernel.sizing import SIZING

from microseg import abi_outcome
from microseg.abi import PolicyMap, Root
from microseg.kernel.carrying import succession
from microseg.kernel.dataplane import PinnedDataPlane
from microseg.kernel.errors import IncompatibleMapError, LoadError
from microseg.kernel.headers import find_headers
from microseg.kernel.loading import LoadRequest, load_programs
from microseg.kernel.maps import Map
from microseg.kernel.program_text import BPF_DIRECTORY, program_text
from microseg.kernel.programs import TC
from microseg.kernel.shapes import MapShape, c_constants, map_shapes
from microseg.reconcile.dataplane import Attachment, KernelError, NotLoadedError


@pytest.fixture
def home(bpffs: Path) -> Iterator[Path]:
    folder = bpffs / "loading"
    yield folder
    PinnedDataPlane(folder).unload()
    assert not folder.exists()


@pytest.fixture
def borrowed(home: Path, lender: Lender) -> None:
    """The load before the one that a test is about."""
    lender.lend(home)


def request_for(home: Path, sources: Path) -> LoadRequest:
    """Return the request of a real load, of sources that may be broken."""
    (home / "programs_1" / "maps").mkdir(parents=True)
    shapes = map_shapes(SIZING)
    return LoadRequest(
        source_dir=str(sources),
        main=TC.main,
        type=TC.type.value,
        maps_dir=str(home / "programs_1" / "maps"),
        programs_dir=str(home / "programs_1"),
        programs=TC.functions(),
        jumps=list(TC.jumps),
        shapes={name: shape.as_json() for name, shape in shapes.items()},
        defines=c_constants(shapes),
    )


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    return Path(shutil.copytree(BPF_DIRECTORY, tmp_path / "bpf"))


def pins(home: Path) -> list[str]:
    return sorted(str(path.relative_to(home)) for path in home.rglob("*"))


@pytest.mark.compiles
def test_compiler_s_words_are_quoted_with_file_and_line(home: Path, sources: Path) -> None:
    header = sources / "session.h"
    lines = header.read_text().splitlines()
    lines.insert(16, "int broken(void) { return nothing_of_that_name; }")
    header.write_text("\n".join(lines))
    with pytest.raises(LoadError, match="does not compile") as raised:
        load_programs(request_for(home, sources))
    assert "session.h:17:27: error: use of undeclared identifier 'nothing_of_that_name'" in raised.value.log
    assert pins(home) == []


@pytest.mark.compiles
def test_verifier_s_words_are_quoted(home: Path, sources: Path) -> None:
    main = sources / "microseg_tc.c"
    text = main.read_text().replace("return ms_rest(skb);", "return *(int *)(long)skb->data;")
    main.write_text(text)
    with pytest.raises(LoadError, match="the kernel refuses the program ms_cold") as raised:
        load_programs(request_for(home, sources))
    assert "invalid access to packet" in raised.value.log
    assert pins(home) == []


@pytest.mark.compiles
def test_layouts_that_differ_do_not_compile(home: Path, sources: Path) -> None:
    header = sources / "abi.h"
    header.write_text(header.read_text().replace("__u8 state;", "__u16 state;"))
    with pytest.raises(LoadError) as raised:
        load_programs(request_for(home, sources))
    assert "struct ms_session differs from user space" in raised.value.log


def test_missing_bcc_names_the_package(
    home: Path, sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bcc.py").write_text("raise ImportError\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(LoadError, match="has no bcc") as raised:
        load_programs(request_for(home, sources))
    assert "apt install python3-bpfcc" in raised.value.advice
    assert pins(home) == []


@pytest.mark.compiles
@pytest.mark.usefixtures("borrowed")
def test_maps_grow_and_keep_what_is_in_them(home: Path) -> None:
    plane = PinnedDataPlane(home)
    lab = Laboratory(plane)
    lab.enforce(allow("0.0.0.0/0", "0.0.0.0/0"))
    lab.open_tcp()
    before = {name: plane.read_map(1, name).entries() for name in PolicyMap}
    assert lab.send(tcp("10.1.1.1", "10.1.2.1", 40001, 80, "S")).passed
    larger = replace(SIZING, sessions=16384, rules=16384)
    places, sets = (plane.map(name).info.max_entries for name in ("flow4", "opening4"))
    assert plane.reasons_to_load(larger, debug=False) == (
        "the map policy_a is to hold 16384 entries, not 8192",
        "the map policy_b is to hold 16384 entries, not 8192",
        "the map session4 is to hold 16384 entries, not 4096",
        f"the map opening4 is to hold {2 * sets} entries, not {sets}",
        f"the map flow4 is to hold {4 * places} entries, not {places}",
    )
    assert plane.load(larger).lost == ()
    assert plane.reasons_to_load(SIZING, debug=False) == (), "none shrinks"
    assert plane.map("session4").info.max_entries == 16384
    assert {name: plane.read_map(1, name).entries() for name in PolicyMap} == before
    again = Laboratory(PinnedDataPlane(home))
    assert again.outcome(tcp("10.1.1.1", "10.1.2.1", 40000, 80, "A")) is abi_outcome.Outcome.PASS_SESSION
    assert again.outcome(tcp("10.1.2.1", "10.1.1.1", 80, 40001, "SA")) is abi_outcome.Outcome.PASS_SESSION


@pytest.mark.usefixtures("borrowed", "namespace")
def test_lost_pins_are_taken_from_the_programs_that_run(home: Path) -> None:
    plane = PinnedDataPlane(home)
    plane.attach([Attachment("lo", plane.preferred_hook())])
    Laboratory(plane).enforce(allow("0.0.0.0/0", "0.0.0.0/0"))
    before = {name: plane.map(name).info.id for name in map_shapes(SIZING)}
    (home / "maps" / "policy_b").unlink()
    (home / "maps" / "session4").unlink()
    fresh = PinnedDataPlane(home)
    assert not fresh.is_loaded()
    fresh.load(SIZING)
    assert {name: fresh.map(name).info.id for name in map_shapes(SIZING)} == before
    fresh.detach(["lo"])


SMALL = {"policy_a": MapShape(1, 4, 4, 10), "session4": MapShape(9, 4, 4, 10), "stats": MapShape(6, 4, 8, 1)}


def test_what_becomes_of_each_map() -> None:
    wanted = SMALL | {
        "policy_a": MapShape(1, 4, 4, 20),
        "session4": MapShape(9, 4, 8, 5),
        "new": MapShape(1, 1, 1, 1),
    }
    found = succession(SMALL, wanted)
    assert (found.shared, found.enlarged, found.lost) == (("stats",), ("policy_a",), ("session4",))
    assert found.shapes == wanted
    assert succession(wanted, SMALL | {"session4": wanted["session4"]}).shapes["policy_a"].max_entries == 20


def test_a_policy_of_another_layout_is_refused_with_both() -> None:
    with pytest.raises(
        IncompatibleMapError, match=r"the pinned map policy_a is hash, .*value 4 .*; needed: hash, .*value 8"
    ) as raised:
        succession(SMALL, SMALL | {"policy_a": MapShape(1, 4, 8, 10)})
    assert "microseg detach" in raised.value.advice


@pytest.mark.usefixtures("borrowed")
def test_reload_keeps_maps_and_their_contents(home: Path) -> None:
    plane = PinnedDataPlane(home)
    lab = Laboratory(plane)
    lab.enforce(allow("0.0.0.0/0", "0.0.0.0/0"))
    lab.open_tcp()
    tags = plane.program_tags()
    plane.load(SIZING)
    assert plane.program_tags() == tags
    again = Laboratory(PinnedDataPlane(home))
    assert again.outcome(tcp("10.1.1.1", "10.1.2.1", 40000, 80, "A")) is abi_outcome.Outcome.PASS_SESSION


def test_everything_is_made_in_the_declared_shape(home: Path) -> None:
    plane = PinnedDataPlane(home)
    assert not plane.is_loaded()
    plane.load(SIZING)
    assert plane.is_loaded()
    for name, shape in map_shapes(SIZING).items():
        with Map.pinned(home / "maps" / name) as pinned:
            assert MapShape.of(pinned.info) == shape
            assert pinned.info.name == name
    assert plane.read_root() == Root()
    assert plane.read_settings().hz in (100, 250, 300, 1000)


def test_a_folder_outside_a_bpffs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KernelError, match="not in a BPF file system") as raised:
        PinnedDataPlane(tmp_path / "pins").load(SIZING)
    assert "mount -t bpf" in raised.value.advice


def test_nothing_loaded(bpffs: Path) -> None:
    plane = PinnedDataPlane(bpffs / "nothing")
    assert not plane.is_loaded()
    for ask in (plane.read_root, plane.capacities, plane.rule_counts):
        with pytest.raises(NotLoadedError, match="nothing is loaded"):
            ask()
    assert plane.attachments() == ()
    plane.unload()


def test_includes_become_one_text_with_places(tmp_path: Path) -> None:
    (tmp_path / "main.c").write_text('#include "a.h"\n#include "b.h"\nint x;\n')
    (tmp_path / "a.h").write_text("int a;\n")
    (tmp_path / "b.h").write_text('#include "a.h"\nint b;\n')
    assert program_text(tmp_path, "main.c").splitlines() == [
        '#line 1 "main.c"',
        '#line 1 "a.h"',
        "int a;",
        '#line 2 "main.c"',
        '#line 1 "b.h"',
        '#line 2 "b.h"',
        "int b;",
        '#line 3 "main.c"',
        "int x;",
    ]


def tree(root: Path, name: str, *, source: bool = False, built: bool = False, makefile: str = "") -> Path:
    folder = root / name
    folder.mkdir(parents=True)
    for wanted, file in ((source, "include/linux/types.h"), (built, "include/generated/autoconf.h")):
        if wanted:
            (folder / file).parent.mkdir(parents=True)
            (folder / file).touch()
    if makefile:
        (folder / "Makefile").write_text(makefile)
    return folder


def test_headers_of_the_running_kernel_come_first(tmp_path: Path) -> None:
    tree(tmp_path, "usr/src/linux-headers-9.9.0", source=True, built=True)
    own = tree(tmp_path, "lib/modules/6.1.0-1/build", source=True, built=True)
    found = find_headers("6.1.0-1", tmp_path)
    assert (found.source, found.built, found.compiler_flags()) == (None, own, [])


def test_newest_headers_serve_when_the_running_kernel_has_none(tmp_path: Path) -> None:
    for version in ("6.1.0-9", "6.1.0-56", "5.10.0-3"):
        tree(tmp_path, f"usr/src/linux-headers-{version}-common", source=True)
        include = f"include /usr/src/linux-headers-{version}-common/Makefile\n"
        tree(tmp_path, f"usr/src/linux-headers-{version}-amd64", built=True, makefile=include)
    found = find_headers("6.18.0", tmp_path)
    assert found.source == tmp_path / "usr/src/linux-headers-6.1.0-56-common"
    assert found.built == tmp_path / "usr/src/linux-headers-6.1.0-56-amd64"
    assert f"-I{found.built}/include" in found.compiler_flags()


def test_headers_in_one_tree(tmp_path: Path) -> None:
    whole = tree(tmp_path, "usr/src/linux-headers-5.15.0-91-generic", source=True, built=True)
    found = find_headers("6.18.0", tmp_path)
    assert (found.source, found.built) == (whole, whole)


def test_no_headers_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="no kernel headers") as raised:
        find_headers("6.18.0", tmp_path)
    assert "apt install linux-headers" in raised.value.advice
