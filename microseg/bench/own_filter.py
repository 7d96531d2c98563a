"""A filter of our own on the near host, with a policy of one's choice; those that run are not touched."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from microseg.abi import Root, encode
from microseg.bench.own_network import FAR, NEAR
from microseg.compiler.pipeline import compile_tree
from microseg.kernel.dataplane import PinnedDataPlane
from microseg.reconcile.dataplane import Attachment, Sizing
from microseg.reconcile.errors import PolicyError
from microseg.reconcile.rehearsal import GENERATION, fill, sizing_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from microseg.abi import SlotContents
    from microseg.reconcile.dataplane import Hook
    from microseg.source import SourceTree

EXAMPLE = Path(__file__).resolve().parent.parent / "_templates"
"""The policy unless one is named: the example that `microseg init` writes."""

DENIED_PORT = 9
"""UDP to this port, which is for what is thrown away (RFC 863), is denied."""

_FILE = "microseg-bench.mseg"
_TEXT = f"""\
policy microseg-bench priority 0 {{
  deny {FAR.networks} -> {NEAR.networks} : udp/{DENIED_PORT}
  allow {FAR.networks} <-> {NEAR.networks}
}}
"""
"""What decides about the hosts of the measurement; the rest of the policy is there to be searched."""


@dataclass(frozen=True, slots=True)
class WithOurs:
    """A policy directory with a file more, which lets the measurement's traffic pass."""

    tree: SourceTree

    def policy_paths(self) -> list[str]:
        """Return all paths."""
        return sorted([*self.tree.policy_paths(), _FILE])

    def read(self, path: str) -> bytes:
        """Return the content of a file; raises SourceError."""
        return _TEXT.encode() if path == _FILE else self.tree.read(path)


def compiled(tree: SourceTree, today: date) -> SlotContents:
    """Return a policy with ours, as the kernel has it; raises PolicyError or SourceError."""
    compilation = compile_tree(WithOurs(tree), today)
    if compilation.image is None:
        raise PolicyError(compilation.diagnostics, compilation.sources)
    return encode(compilation.image)


@contextmanager
def own_filter(
    pin_dir: Path, contents: SlotContents, hook: Hook | None, sessions: int, *, debug: bool
) -> Iterator[Hook]:
    """Load the filter, put the policy in force and attach to the near host's interface; gives the hook.

    Args:
        pin_dir: where programs and maps are pinned.
        contents: the policy.
        hook: None: what the kernel prefers.
        sessions: how many it is to hold at least.
        debug: with programs that trace each packet.

    Raises:
        KernelError: the kernel refused.

    """
    usual, needed = Sizing(), sizing_for(contents)
    sizing = replace(
        usual,
        addresses=max(usual.addresses, needed.addresses),
        services=max(usual.services, needed.services),
        rules=max(usual.rules, needed.rules),
        sessions=max(usual.sessions, sessions),
    )
    plane = PinnedDataPlane(pin_dir)
    chosen = hook or plane.preferred_hook()
    try:
        plane.load(sizing, debug=debug)
        fill(plane, contents)
        plane.write_root(Root(GENERATION))
        plane.attach([Attachment(NEAR.device, chosen)])
        yield chosen
    finally:
        plane.unload()
