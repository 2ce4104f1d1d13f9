"""Our implementations of Feast's plug-in points."""
