"""Inventory mathematics: formulas over arrays, with symbol, unit and source."""
