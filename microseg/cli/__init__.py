"""The command line: one file a command, which parses arguments, calls and prints."""

import atexit
import gc

# Importing makes a hundred thousand objects that stay: to look for garbage among them, now and again at the
# end, would be a tenth of a short command's time.
gc.set_threshold(200_000, 20, 20)
atexit.register(gc.freeze)

from microseg.cli.main import main  # noqa: E402  what is imported from here on

__all__ = ["main"]
