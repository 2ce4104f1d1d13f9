"""Decisions, as functions over frames and arrays. Nothing here knows Dagster."""
