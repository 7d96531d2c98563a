"""A kernel in memory that keeps the protocol's promises, counts its calls, and fails when told to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import update_wrapper
from typing import Any, Concatenate, ParamSpec, TypeVar

from reconcile.fake_search import image_of

from microseg.abi import KEY_SIZES, VALUE_SIZES, Entries, PolicyMap, Root, SlotConfig
from microseg.abi_session import Session
from microseg.abi_settings import Settings
from microseg.compiler.interpret import search
from microseg.policy.frames import read_frame
from microseg.reconcile.dataplane import (
    Attachment,
    Hook,
    InterfaceMissingError,
    Irregularity,
    Judged,
    KernelError,
    Loaded,
    NotLoadedError,
    Reading,
    RuleCount,
    Sizing,
)

Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")


class When(Enum):
    """Whether a failing call has its effect nevertheless."""

    BEFORE = "before"
    AFTER = "after"


INJECTED = KernelError("injected", advice="nothing, it's a test")


@dataclass(frozen=True)
class Fault:
    """The number of the call that fails, from 0."""

    call: int
    when: When = When.BEFORE
    error: BaseException = INJECTED


Method = Callable[Concatenate["FakeDataPlane", Arguments], Answer]


def counted(method: Method[Arguments, Answer]) -> Method[Arguments, Answer]:
    def call(self: FakeDataPlane, *arguments: Arguments.args, **options: Arguments.kwargs) -> Answer:
        number = len(self.calls)
        self.calls.append(method.__name__)
        faults = [fault for fault in self.faults if fault.call == number]
        for fault in faults:
            if fault.when is When.BEFORE:
                raise fault.error
        try:
            return method(self, *arguments, **options)
        finally:
            for fault in faults:
                raise fault.error

    return update_wrapper(call, method)  # type: ignore[return-value]  # positional self, as every method's


class FakeDataPlane:
    """Two slots of dictionaries."""

    def __init__(self, interfaces: Sequence[str] = ("eth0", "eth1")) -> None:
        self.calls: list[str] = []
        self.faults: list[Fault] = []
        self.interfaces = set(interfaces)
        self.boot_s = 1000
        self.adopting_until = 0
        self.settings = Settings()
        self.counts: dict[int, RuleCount] = {}
        self.live_sessions: list[Session] = []
        self.forget()

    def close(self) -> None:
        """Keep everything: there is only one."""

    def forget(self) -> None:
        self.loaded = False
        self.loads = {0: (Sizing(), False)}
        self.load_number = 0
        self.running: dict[str, int] = {}
        self.irregular: tuple[Irregularity, ...] = ()
        self.has_maps = False
        self.sizing = Sizing()
        self.root = Root()
        self.configs = [SlotConfig(), SlotConfig()]
        self.maps: dict[tuple[int, PolicyMap], dict[bytes, bytes]] = {
            (slot, name): {} for slot in range(2) for name in PolicyMap
        }
        self.attached: dict[str, Hook] = {}

    def enforced(self) -> dict[str, Any]:
        """Return all that decides about packets, as a copy."""
        live = self.live_generation() & 1
        return {
            "root": self.root,
            "config": self.configs[live] if self.live_generation() else None,
            "maps": {name: dict(self.maps[live, name]) for name in PolicyMap if self.live_generation()},
            "attached": dict(self.attached),
            "settings": self.settings,
            "running": dict(self.running),
        }

    def live_maps(self) -> dict[PolicyMap, dict[bytes, bytes]]:
        """Return what the live slot holds."""
        return {name: self.maps[self.live_generation() & 1, name] for name in PolicyMap}

    def live_generation(self) -> int:
        if 0 < self.root.deadline_s <= self.boot_s:
            return self.configs[1 - self.root.slot].generation
        return self.root.generation

    @counted
    def preferred_hook(self) -> Hook:
        return Hook.TCX

    @counted
    def is_loaded(self) -> bool:
        return self.loaded

    @counted
    def load(self, sizing: Sizing, *, debug: bool = False) -> Loaded:
        before = self.load_number if self.loaded else 0
        if not before or sizing.rules > self.sizing.rules:
            self.sizing = sizing
        self.loaded = self.has_maps = True
        self.loads[self.load_number + 1] = (sizing, debug)
        self.load_number += 1
        return Loaded(str(before) if before else "")

    @counted
    def reasons_to_load(self, sizing: Sizing, *, debug: bool) -> tuple[str, ...]:
        before, debugging = self.loads[self.load_number]
        small = any(before.policy_capacities()[name] < it for name, it in sizing.policy_capacities().items())
        return ("another one is wanted",) if small or debugging is not debug else ()

    @counted
    def take_back_load(self, previous: str) -> None:
        self.load_number = int(previous)
        self.sizing = self.loads[self.load_number][0]
        self.running = dict.fromkeys(self.attached, self.load_number)

    @counted
    def outdated(self) -> tuple[str, ...]:
        return tuple(sorted(name for name, number in self.running.items() if number != self.load_number))

    @counted
    def program_tags(self) -> Mapping[str, str]:
        return {"ingress": f"{self.load_number:016x}"}

    @counted
    def irregularities(self, tags: Mapping[str, str]) -> tuple[Irregularity, ...]:
        del tags
        return self.irregular

    @counted
    def remove_leftovers(self) -> None:
        pass

    @counted
    def is_debug_program(self) -> bool:
        return self.loads[self.load_number][1]

    @counted
    def unload(self) -> None:
        self.forget()

    @counted
    def attachments(self) -> tuple[Attachment, ...]:
        return tuple(Attachment(name, hook) for name, hook in sorted(self.attached.items()))

    @counted
    def has_interface(self, name: str) -> bool:
        return name in self.interfaces

    @counted
    def attach(self, wanted: Sequence[Attachment]) -> None:
        for attachment in wanted:
            if attachment.interface not in self.interfaces:
                raise InterfaceMissingError(f"there is no interface {attachment.interface}")
        self.attached |= {attachment.interface: attachment.hook for attachment in wanted}
        self.running |= {attachment.interface: self.load_number for attachment in wanted}

    @counted
    def detach(self, interfaces: Sequence[str]) -> None:
        for name in interfaces:
            del self.attached[name]
            self.running.pop(name, None)

    @counted
    def capacities(self) -> Mapping[PolicyMap, int]:
        return self.sizing.policy_capacities()

    @counted
    def read_root(self) -> Root:
        if not self.has_maps:
            raise NotLoadedError("nothing is loaded")
        return self.root

    @counted
    def write_root(self, root: Root) -> None:
        self.root = root

    @counted
    def read_config(self, slot: int) -> SlotConfig:
        return self.configs[slot]

    @counted
    def write_config(self, slot: int, config: SlotConfig) -> None:
        assert slot != self.live_generation() & 1 or not self.live_generation(), "only the standby slot"
        self.configs[slot] = config

    @counted
    def read_map(self, slot: int, name: PolicyMap) -> Reading:
        entries = self.maps[slot, name]
        return Reading(b"".join(entries), b"".join(entries.values()), KEY_SIZES[name], VALUE_SIZES[name])

    @counted
    def write_entries(self, slot: int, name: PolicyMap, upserts: Entries, deletions: Sequence[bytes]) -> None:
        assert slot != self.live_generation() & 1 or not self.live_generation(), "only the standby slot"
        entries = self.maps[slot, name]
        for key in deletions:
            del entries[key]
        entries |= upserts
        assert len(entries) <= self.sizing.policy_capacities()[name], "the guard should have refused"

    @counted
    def wait_for_readers(self) -> None:
        pass

    @counted
    def judge(self, frames: Sequence[bytes], generation: int) -> list[Judged]:
        slot = generation & 1
        assert self.configs[slot].generation == generation, "asked about a slot that holds another"
        image = image_of({name: self.maps[slot, name] for name in PolicyMap}, self.configs[slot])
        found = [search(image, read_frame(frame)) for frame in frames]
        return [Judged(it.verdict, it.rule_id, it.log) for it in found]

    @counted
    def rule_counts(self) -> Mapping[int, RuleCount]:
        return dict(self.counts)

    @counted
    def read_settings(self) -> Settings:
        return self.settings

    @counted
    def write_settings(self, settings: Settings) -> None:
        self.settings = settings

    @counted
    def sessions(self) -> list[Session]:
        return list(self.live_sessions)

    @counted
    def forget_rules(self, rule_ids: Sequence[int]) -> None:
        for rule_id in rule_ids:
            del self.counts[rule_id]

    @counted
    def adopt_until(self, boot_s: int) -> None:
        self.adopting_until = boot_s

    @counted
    def boot_time_s(self) -> int:
        return self.boot_s
