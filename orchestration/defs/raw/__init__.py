"""Landed files become raw tables, quarantine and ledger."""
