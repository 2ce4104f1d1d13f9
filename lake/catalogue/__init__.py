"""The catalogue: what stands in the lake, for people (a static site) and for other tools (OpenLineage events)."""
