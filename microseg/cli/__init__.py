"""The command line: one file a command, which parses arguments, calls and prints."""

from microseg.cli.main import main

__all__ = ["main"]
