"""Measuring: figures of a running filter, traffic to measure it with, and how they are shown."""
