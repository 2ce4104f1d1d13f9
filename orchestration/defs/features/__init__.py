"""The release's newest feature values, served online."""
