"""Databases as sources: tables and queries of any SQLAlchemy URL (`tables.py`), and PostgreSQL's change log (`cdc.py`)."""
