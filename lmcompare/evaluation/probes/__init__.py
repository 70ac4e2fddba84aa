"""Probes: what the states of each layer tell of language, beside controls."""
