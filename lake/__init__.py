"""From sources to raw tables, and the gates. Nothing here knows Dagster."""
