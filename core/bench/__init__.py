"""Benchmarks: how fast each part of a run is on this machine, and what limits it."""
