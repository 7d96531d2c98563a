"""A plan: what would change in the kernel, as a value made before anything is touched."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from microseg.abi import PolicyMap, decode_policy_value
from microseg.reconcile.observed import actual_digest
from microseg.reconcile.records import Names
from microseg.reconcile.tuning import setting_changes
from microseg.tables import differing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from microseg.abi import SlotConfig, SlotContents
    from microseg.abi_settings import Settings
    from microseg.data_plane_settings import SettingChange
    from microseg.reconcile.dataplane import Attachment
    from microseg.reconcile.desired import Desired
    from microseg.reconcile.observed import Observed
    from microseg.reconcile.records import Attribution
    from microseg.reconcile.revision import Revision


class Kind(Enum):
    """What happens to an entry; the value is the sign it is shown with."""

    CREATE = "+"
    UPDATE = "~"
    DELETE = "-"


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of one map.

    Attributes:
        map: which.
        key: as bytes of the kernel.
        before: its value in force; None when it is created.
        after: its value desired; None when it is deleted.

    """

    map: PolicyMap
    key: bytes
    before: bytes | None
    after: bytes | None

    @property
    def kind(self) -> Kind:
        """What happens to the entry."""
        if self.before is None:
            return Kind.CREATE
        return Kind.DELETE if self.after is None else Kind.UPDATE

    def rule_id(self) -> int | None:
        """Return the rule this entry belongs to: the new one's, or of a deletion the old one's."""
        if self.map is not PolicyMap.POLICY:
            return None
        value = self.after if self.after is not None else self.before
        assert value is not None, "a change has a value on one side at least"
        return decode_policy_value(value)[1]


class Counts(NamedTuple):
    """How many entries are created, updated and deleted."""

    create: int = 0
    update: int = 0
    delete: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self)


@dataclass(frozen=True, slots=True)
class DefaultChange:
    """Another default verdict, or other flags of it; before is None when no policy was in force."""

    before: SlotConfig | None
    after: SlotConfig


@dataclass(frozen=True, slots=True)
class Plan:
    """What an apply would do.

    Attributes:
        desired: digest of the desired entries and defaults.
        observed: digest of those in force, of what is really there; None when no policy is in force.
        generation: in force; 0: none.
        revision: of the desired text; None outside git.
        changes: sorted by map and key.
        default: the other default, or None.
        load: programs and maps have to be loaded first.
        upgrade: why those that are loaded have to be replaced; empty when they don't.
        attach: interfaces to attach to, sorted.
        settings: what the program that runs has to be set to; one that is loaded gets all of its settings.
        names: what the desired entries' numbers mean.
        old_names: what the numbers of the entries in force mean, as far as it is known.

    """

    desired: bytes
    observed: bytes | None
    generation: int = 0
    revision: Revision | None = None
    changes: tuple[Change, ...] = ()
    default: DefaultChange | None = None
    load: bool = False
    upgrade: tuple[str, ...] = ()
    attach: tuple[Attachment, ...] = ()
    settings: tuple[SettingChange, ...] = ()
    names: Names = field(default_factory=Names)
    old_names: Names = field(default_factory=Names)

    @property
    def replaces_policy(self) -> bool:
        """Whether another generation has to come into force."""
        return self.observed is None or bool(self.changes) or self.default is not None

    @property
    def is_empty(self) -> bool:
        """Whether the kernel already is as desired."""
        return not (self.replaces_policy or self.load or self.attach or self.settings)

    def counts(self) -> dict[PolicyMap, Counts]:
        """Return the number of changes of each map, also of those without any."""
        kinds = tuple(Kind)
        numbers = {name: [0] * len(kinds) for name in PolicyMap}
        for change in self.changes:
            numbers[change.map][kinds.index(change.kind)] += 1
        return {name: Counts(*numbers[name]) for name in PolicyMap}

    def rule_of(self, change: Change) -> Attribution | None:
        """Return the rule an entry of the policy map belongs to; None for others and for pair entries."""
        rule_id = change.rule_id()
        if not rule_id:
            return None
        names = self.old_names if change.kind is Kind.DELETE else self.names
        return names.rules.get(rule_id)


def plan(
    desired: Desired,
    observed: Observed,
    live: SlotContents,
    *,
    wanted: Sequence[Attachment] = (),
    settings: Settings | None = None,
    upgrade: tuple[str, ...] = (),
    old_names: Names | None = None,
    digest: bytes | None = None,
) -> Plan:
    """Compare what should be with what is.

    Args:
        desired: the compiled policy.
        observed: the kernel's state.
        live: what the live slot holds, ignored when no policy is in force.
        wanted: where to attach; a program that has to be loaded replaces the one that is attached elsewhere.
        settings: of the program; None: as they are.
        upgrade: why programs and maps that are loaded have to be replaced; empty when they don't.
        old_names: what the numbers of the entries in force mean.
        digest: of what the live slot really holds; None: it is worked out.

    """
    load = not observed.loaded or bool(upgrade)
    digest = (digest or actual_digest(live)) if observed.judges else None
    return Plan(
        desired=desired.contents.config.digest,
        observed=digest,
        generation=observed.generation,
        revision=desired.revision,
        changes=tuple(differences(live, desired.contents)),
        default=_default_change(live.config, digest, desired.contents.config),
        load=load,
        upgrade=upgrade,
        attach=_attach(observed, wanted, load=load),
        settings=setting_changes(observed.settings, settings),
        names=desired.names,
        old_names=old_names or Names(),
    )


def _attach(observed: Observed, wanted: Sequence[Attachment], *, load: bool) -> tuple[Attachment, ...]:
    """Return where to attach: where it isn't yet, and where an older program runs."""
    named = {attachment.interface for attachment in wanted}
    running = [it for it in observed.attachments if it.interface not in named]
    behind = {it for it in (*wanted, *running) if it.interface in observed.outdated}
    attach = {*wanted, *running} if load else set(wanted) - set(observed.attachments) | behind
    return tuple(sorted(attach, key=lambda it: it.interface))


def compare(desired: Desired, base: Desired) -> Plan:
    """Compare two compiled policies, as if the base were in force; needs no kernel."""
    return Plan(
        desired=desired.contents.config.digest,
        observed=base.contents.config.digest,
        revision=desired.revision,
        changes=tuple(differences(base.contents, desired.contents)),
        default=_default_change(base.contents.config, base.contents.config.digest, desired.contents.config),
        names=desired.names,
        old_names=base.names,
    )


def differences(before: SlotContents, after: SlotContents) -> Iterator[Change]:
    """Yield what differs between two contents, sorted by map and key."""
    for name in PolicyMap:
        old, new = before.maps[name], after.maps[name]
        for key in sorted(differing(old, new)):
            yield Change(name, key, old.get(key), new.get(key))


def _default_change(before: SlotConfig, digest: bytes | None, after: SlotConfig) -> DefaultChange | None:
    """Return another default; also of a slot that misstates its own digest, so that it's written anew.

    Args:
        before: what the live slot says.
        digest: of what is really there; None when no policy is in force.
        after: what is desired.

    """
    if digest is None:
        return DefaultChange(None, after)
    same = (before.default_verdict, before.default_flags, before.slot_flags) == (
        after.default_verdict,
        after.default_flags,
        after.slot_flags,
    )
    return None if same and before.digest == digest else DefaultChange(before, after)
