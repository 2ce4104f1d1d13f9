"""Wiring only: Dagster definitions and the command line."""
