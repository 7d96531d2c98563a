"""Bringing the kernel to the desired image: plan, transaction, state, drift."""
