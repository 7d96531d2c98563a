"""Where a program is attached, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microseg.reconcile.dataplane import Hook

if TYPE_CHECKING:
    from collections.abc import Sequence

    from microseg.reconcile.dataplane import Attachment

XDP_LIMITS = (
    "judges what comes in; it can't see what goes out, which a TC program beside it judges; "
    "docs/data-plane.md says what else it can't do"
)


def interfaces(attachments: Sequence[Attachment]) -> str:
    """Return interfaces with their hooks."""
    return ", ".join(f"{it.interface} ({it.hook.value})" for it in attachments)


def xdp_limits(attachments: Sequence[Attachment]) -> str:
    """Return what the operator should know of XDP, when one of these is by XDP; else nothing."""
    return XDP_LIMITS if any(it.hook is Hook.XDP for it in attachments) else ""
