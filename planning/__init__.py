"""What acts: proposed orders, their export and their explanation."""
