"""Which version of the program this is."""

from __future__ import annotations


def program_version() -> str:
    """Return the version of the installed package."""
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415  few need to know, it takes long

    try:
        return version("microseg")
    except PackageNotFoundError:
        return "unknown (not installed)"
