"""From forecast, stock and supplier terms to what to order, and why."""
