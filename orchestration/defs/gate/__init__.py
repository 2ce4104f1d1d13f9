"""Great Expectations decide whether a snapshot becomes a release."""
