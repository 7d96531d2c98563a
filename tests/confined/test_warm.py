"""A confined compiler that goes on from one policy to the next: what it says is as from a fresh one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from random import Random

import pytest
from analysis.test_memory import change, first, tree_of
from cli.terminal_session import BROKEN, SHOP

from microseg.abi import SlotContents, encode
from microseg.analysis.examine import examine
from microseg.confined import wire
from microseg.confined.changes import (
    changed_contents,
    changed_mapping,
    changed_sections,
    contents_changes,
    mapping_changes,
    section_changes,
)
from microseg.confined.limits import Limits
from microseg.confined.worker import ConfinedCompiler
from microseg.reconcile.desired import Desired, desired_of
from microseg.reconcile.errors import PolicyError
from microseg.sections import Sections, sections_of
from microseg.source import MemoryTree, SourceTree

TODAY = date(2026, 3, 1)


class Counted(MemoryTree):
    """Counts what is read."""

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(files)
        self.read_paths: list[str] = []

    def read(self, path: str) -> bytes:
        self.read_paths.append(path)
        return super().read(path)


@pytest.fixture
def compiler() -> Iterator[ConfinedCompiler]:
    with ConfinedCompiler() as made:
        yield made


@pytest.fixture
def kinds(monkeypatch: pytest.MonkeyPatch) -> list[wire.Kind]:
    """All that the compiler has said, by its kind."""
    heard: list[wire.Kind] = []
    receive = wire.receive

    def listen(descriptor: int, deadline: float | None = None) -> tuple[wire.Kind, bytes]:
        kind, payload = receive(descriptor, deadline)
        heard.append(kind)
        return kind, payload

    monkeypatch.setattr(wire, "receive", listen)
    return heard


def of(compiler: ConfinedCompiler, tree: SourceTree) -> Desired:
    return compiler(tree, None, TODAY, None)


def test_only_what_changed_is_handed_out(compiler: ConfinedCompiler, kinds: list[wire.Kind]) -> None:
    files = {"shop.mseg": SHOP.encode(), "other.mseg": b"policy other { deny any -> 10.7.0.1 : tcp/9 }"}
    of(compiler, Counted(files))
    files["other.mseg"] += b" # and no more"
    second = Counted(files)
    desired = of(compiler, second)
    assert second.read_paths == ["other.mseg"]
    assert kinds.count(wire.Kind.CHANGES) == 1
    expected = desired_of(examine(MemoryTree(files), TODAY), None)
    assert (desired.contents, desired.names) == (expected.contents, expected.names)


def test_a_list_is_known_as_well(compiler: ConfinedCompiler) -> None:
    text = b'group bad = file("bad.netset")\npolicy shop { deny bad -> any }'
    files = {"shop.mseg": text, "bad.netset": b"10.1.1.1\n"}
    for _ in range(2):
        of(compiler, Counted(files))
    again = Counted(files)
    of(compiler, again)
    assert again.read_paths == []
    files["bad.netset"] = b"10.1.1.2\n"
    other = Counted(files)
    assert of(compiler, other).contents == desired_of(examine(MemoryTree(files), TODAY), None).contents
    assert other.read_paths == ["bad.netset"]


@pytest.mark.parametrize("seed", range(3))
def test_any_changes_come_out_as_from_a_fresh_process(compiler: ConfinedCompiler, seed: int) -> None:
    rng = Random(seed)
    files, valid = first(rng), 0
    for _ in range(12):
        tree = tree_of(files, rng)
        expected = examine(tree, TODAY)
        if expected.compilation.image is None:
            with pytest.raises(PolicyError) as caught:
                of(compiler, tree)
            assert caught.value.diagnostics == expected.compilation.diagnostics
            files = first(rng)
            continue
        valid += 1
        whole, desired = desired_of(expected, None), of(compiler, tree)
        assert (desired.contents, desired.names) == (whole.contents, whole.names)
        assert list(desired.names.rules) == list(whole.names.rules)
        assert (desired.warnings, desired.failures) == (whole.warnings, whole.failures)
        change(rng, files)
    assert valid > 3


def test_a_wrong_policy_is_forgotten(compiler: ConfinedCompiler, kinds: list[wire.Kind]) -> None:
    of(compiler, MemoryTree({"shop.mseg": SHOP.encode()}))
    with pytest.raises(PolicyError):
        of(compiler, MemoryTree({"shop.mseg": BROKEN.encode()}))
    kinds.clear()
    tree = Counted({"shop.mseg": SHOP.encode()})
    of(compiler, tree)
    assert tree.read_paths == ["shop.mseg"], "another process compiles, which has seen nothing"
    assert wire.Kind.CHANGES not in kinds


def test_what_is_not_accepted_is_forgotten(compiler: ConfinedCompiler) -> None:
    compiler.forget()
    tree = Counted({"shop.mseg": SHOP.encode()})
    of(compiler, tree)
    compiler.forget()
    compiler.forget()
    of(compiler, tree)
    assert tree.read_paths == ["shop.mseg"] * 2


def test_a_process_that_has_worked_enough_makes_room_for_another(kinds: list[wire.Kind]) -> None:
    with ConfinedCompiler(Limits(life_s=0)) as compiler:
        for _ in range(2):
            tree = Counted({"shop.mseg": SHOP.encode()})
            of(compiler, tree)
            assert tree.read_paths == ["shop.mseg"]
    assert wire.Kind.CHANGES not in kinds


def contents(text: str) -> SlotContents:
    image = examine(MemoryTree({"a.mseg": text.encode()}), TODAY).compilation.image
    assert image
    return encode(image)


BEFORE = contents("policy a { allow 10.0.0.1 -> any : tcp/1 deny 10.0.0.2 -> any }")
AFTER = contents("policy a { deny 10.0.0.2 -> any allow 10.0.0.3 -> any : tcp/1 log }")


def test_a_difference_of_images_is_exact_and_small() -> None:
    assert changed_contents(BEFORE, contents_changes(BEFORE, AFTER)) == AFTER
    assert changed_contents(BEFORE, contents_changes(BEFORE, BEFORE)) == BEFORE


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[:-1],
        lambda data: data + b"x",
        lambda data: data[:60] + bytes([data[60] ^ 1]) + data[61:],
        lambda data: data[:0],
        lambda data: data[:44] + b"\xff" * 8 + data[52:],
    ],
)
def test_a_difference_that_does_not_fit_is_refused(spoil) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    data = contents_changes(BEFORE, AFTER)
    with pytest.raises(ValueError, match=r"."):
        changed_contents(BEFORE, spoil(data))
    with pytest.raises(ValueError, match=r"."):
        changed_contents(AFTER, data)


@pytest.mark.parametrize("seed", range(200))
def test_a_difference_of_mappings_keeps_the_order(seed: int) -> None:
    rng = Random(seed)
    values = [f"value {n}" for n in range(12)]
    before = {key: rng.choice(values) for key in rng.sample(range(9), rng.randrange(9))}
    after = {key: before.get(key, rng.choice(values)) for key in rng.sample(range(9), rng.randrange(9))}
    sent = json.loads(json.dumps(mapping_changes(before, after, str)))
    found = changed_mapping(before, sent, str)
    assert list(found.items()) == list(after.items())


@pytest.mark.parametrize(
    "data", [[0, 9, [], {}], [-1, 0, [], {}], [0, 0, [7], {}], [0, 0, [1], {}], [0, 0, []], 5, None]
)
def test_a_mapping_that_does_not_fit_is_refused(data: object) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        changed_mapping({1: "a", 2: "b"}, data, str)


@pytest.mark.parametrize("seed", range(200))
def test_a_difference_of_sections_is_as_much_as_the_other_side_needs(seed: int) -> None:
    rng = Random(seed)
    before = Sections({10 * at + n: rng.choice("abc") for n in range(rng.randrange(4))} for at in range(4))
    sections = [
        each if rng.random() < 0.6 else {key + rng.choice([0, 0, 100]): rng.choice("abc") for key in each}
        for each in rng.sample(before.sections, rng.randrange(5))
    ]
    after = Sections([*sections, {1000: "d"}][: rng.randrange(6)])
    sent = json.loads(json.dumps(section_changes(before, after, str)))
    found = changed_sections(before, sent, str)
    assert list(found.items()) == list(after.items())
    kept = set(map(id, before.sections)) & set(map(id, after.sections))
    assert kept <= set(map(id, sections_of(found)))
    assert len([each for each in sent if isinstance(each, int)]) == len(kept)
    assert changed_sections(before, section_changes(before, before, str), str) is before


@pytest.mark.parametrize(
    "data",
    [
        [2],
        [-1],
        [0, 0],
        [True],
        [0, [[3, None]]],
        [0, [[1, "x"]]],
        [[[1, "x"]], [[1, "y"]]],
        [[["1", "x"]]],
        [[[1.5, "x"]]],
        [[1]],
        [5.0],
        5,
        None,
    ],
)
def test_sections_that_do_not_fit_are_refused(data: object) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        changed_sections(Sections([{1: "a"}, {2: "b"}]), data, str)
