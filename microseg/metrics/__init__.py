"""Figures for Prometheus: of the kernel, of the agent's files, and of what the agent does."""
