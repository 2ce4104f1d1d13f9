"""Proposed purchase orders and what people take away."""
