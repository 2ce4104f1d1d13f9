"""Codes of all systems are conformed before staging reads them."""
