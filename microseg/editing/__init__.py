"""Changing policy text by places: safe fixes, and what an editor asks for. Comments stay."""
