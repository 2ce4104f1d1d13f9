"""Conformed keys: what the systems of a company call the same item, supplier or location.

Between raw and staging: codes and what is known of them are read from raw by the contracts' mappings (`records.py`), compared
with the codes of the master system (`exact.py`: identifiers and spellings; `probable.py`: Splink), judged (`judging.py`), and
what was decided is appended to `meta.match_event` (`log.py`), of which `staging.crosswalk` is a pure function. `step.py` runs it;
`stewarding.py` is what a person does about the pairs that no rule may decide. No SQL of dbt stands here, and nothing is
guessed silently: what is not linked keeps its own id and is counted in `staging.unmatched_value`.
"""
