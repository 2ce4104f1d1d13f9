"""Data contracts: one ODCS v3.1 YAML describes a dataset once; everything else is derived from it."""
