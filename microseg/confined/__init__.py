"""Compiling policy text, which anybody may have written, in a process that can do nothing but compute."""
