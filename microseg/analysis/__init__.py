"""Exact questions about a ruleset: conflicts, proofs, differences, witnesses."""
