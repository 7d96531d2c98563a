"""The two who are asked about a packet: the policy directory and the kernel."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from microseg.abi import encode
from microseg.analysis.trace import Way, differences, evaluator_agrees, trace
from microseg.cli import instance
from microseg.reconcile.dataplane import KernelError
from microseg.reconcile.desired import names_of
from microseg.reconcile.known import recall
from microseg.reconcile.observed import read_observed
from microseg.reconcile.records import Names

if TYPE_CHECKING:
    from microseg.compiler.pipeline import Compilation
    from microseg.config import Settings
    from microseg.policy.packet import Packet
    from microseg.reconcile.observed import Observed
    from microseg.reconcile.revision import Revision
    from microseg.reconcile.transaction import Host


@dataclass(frozen=True, slots=True)
class Side:
    """What one of them says.

    Attributes:
        way: the packet's; None when this side could not be asked, or has nothing to say.
        silent: why not.
        names: what the numbers mean.
        revision: of the policy's text; None when it isn't known.
        digest: of the policy's entries.
        generation: in the kernel; 0 of the policy directory.
        sound: the evaluator decides as the compiled policy does; of the policy directory only.

    """

    way: Way | None = None
    silent: str = ""
    names: Names = field(default_factory=Names)
    revision: Revision | None = None
    digest: bytes = b""
    generation: int = 0
    sound: bool = True


@dataclass(frozen=True, slots=True)
class Comparison:
    """How the sides compare.

    Attributes:
        both: both could say something.
        same_entries: they hold the same policy, entry by entry.
        differences: stations that differ; of different policies only what becomes of the packet.
        sound: see Side.

    """

    both: bool
    same_entries: bool
    differences: tuple[str, ...]
    sound: bool

    @property
    def differ(self) -> bool:
        """Whether anything is not as it should be."""
        return bool(self.differences) or not self.sound


NOT_ASKED = Side(silent="it was not asked")


def of_policy(compilation: Compilation, revision: Revision | None, packet: Packet | None, why: str) -> Side:
    """Return what the policy directory says; why is the reason when there is no packet in the frame."""
    image = compilation.image
    assert image is not None, "only a policy without errors is asked"
    way = trace(image, packet) if packet else Way(why=why)
    sound = packet is None or evaluator_agrees(compilation.ruleset, way)
    digest = encode(image).config.digest
    return Side(way, "", names_of(image), revision, digest, sound=sound)


def ask_kernel(settings: Settings, frame: bytes, policy: Side) -> Side:
    """Return what the policy in force says about a frame; policy is whom it will be compared with."""
    host = instance.open_host(settings)
    try:
        observed = read_observed(host.plane)
        if not observed.loaded:
            return Side(silent="nothing is loaded, so everything passes")
        if not observed.generation:
            return Side(silent="no policy is in force, so everything passes")
        return _ask(settings, host, observed, frame, policy)
    except KernelError as error:
        return Side(silent=f"{error.message}" + (f" ({error.advice})" if error.advice else ""))
    except PermissionError as error:
        return Side(silent=f"it could not be asked: {error.filename}: {error.strerror} (run it as root)")


def _ask(settings: Settings, host: Host, observed: Observed, frame: bytes, policy: Side) -> Side:
    from microseg.kernel import tracing  # noqa: PLC0415  as in instance: it takes a while to import

    digest = observed.configs[observed.live].digest
    known = recall(host.store, observed)
    names = policy.names if digest == policy.digest and not known.names.rules else known.names
    packet = policy.way.packet if policy.way else None
    way = tracing.trace(
        instance.open_plane(settings), instance.open_flows(settings), frame, packet, observed.generation
    )
    return Side(way, "", names, known.revision, digest, observed.generation)


def compare(policy: Side, kernel: Side) -> Comparison:
    """Lay the two side by side."""
    same_entries = policy.digest == kernel.digest
    if policy.way is None or kernel.way is None:
        return Comparison(both=False, same_entries=False, differences=(), sound=policy.sound)
    found = differences(policy.way, kernel.way, same_entries=same_entries)
    return Comparison(both=True, same_entries=same_entries, differences=found, sound=policy.sound)
