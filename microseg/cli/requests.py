"""What every command that plans or applies asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microseg.cli import instance, lifelines
from microseg.reconcile.transaction import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from microseg.abi import PolicyMap
    from microseg.config import Settings
    from microseg.reconcile.desired import Desired


def request(settings: Settings, compile_policy: Callable[[Mapping[PolicyMap, int]], Desired]) -> Request:
    """Return what the settings ask for; flags of a command are added to it."""
    return Request(
        compile_policy,
        instance.operator(settings),
        settings.interfaces,
        settings.hook,
        sizing=settings.sizing,
        lifelines=lifelines.of(settings),
        limits=settings.limits,
        adopt_s=settings.adopt_s,
        debug_program=settings.debug_program,
        settings=settings.data_plane,
    )
