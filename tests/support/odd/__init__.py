"""Processes that are odd on purpose, run as modules by `System.start`."""
