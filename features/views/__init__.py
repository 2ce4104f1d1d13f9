"""What a model may know: one module per theme, over the marts of a release.

Every value has one definition, the mart's SQL: the views name columns, they compute nothing, and take the words and units
that the mart's own description gives (`fields.py`). What is computed from other features when it is asked for stands in
`on_demand.py`, as one function that history, today's reads and pushes share.
"""
