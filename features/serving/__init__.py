"""Features over HTTP: Feast's feature server API for reading, behind authentication of our own (`stocklake serve-features`)."""
