"""From feature rows to demand quantiles, held to honest baselines."""
