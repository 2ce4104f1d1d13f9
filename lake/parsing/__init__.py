"""Taking a landed file apart in a process of its own: what it does (`job`), its walls (`sandbox`), who watches it."""
