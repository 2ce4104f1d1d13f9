"""Demand quantiles for 28 days, and how they did against baselines."""
