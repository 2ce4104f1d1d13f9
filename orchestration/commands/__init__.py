"""One module per group of commands; `orchestration/cli.py` puts them together. Each imports late what it needs."""
