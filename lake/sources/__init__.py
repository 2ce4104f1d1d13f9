"""One module per kind of source; each lands immutable files and reads them to their contract."""
