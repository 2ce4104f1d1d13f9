"""What to order, when, and why."""
