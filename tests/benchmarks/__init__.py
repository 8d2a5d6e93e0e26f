"""Measures the package against fixed references: `python -m tests.benchmarks`."""
