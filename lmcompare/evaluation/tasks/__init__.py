"""Benchmarks: what each asks of any model, through the verbs of its objective alone.

A kind of task is one file here; a benchmark is a few lines of TOML that say which kind it is and
where its files lie.
"""
