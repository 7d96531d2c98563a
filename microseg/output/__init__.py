"""Diagnostics and test results in the formats of other programs. Pure: text in, text out."""
