"""The Feast repository: entities, views and services; `stores/` holds our offline store."""

from typing import Any

import typeguard


def _as_it_is(target: Any = None, **_: Any) -> Any:
    return _as_it_is if target is None else target


# Feast lets typeguard write 19 of its classes anew whenever it is imported: 3.5 of 4.8 CPU seconds of every process that
# has features. Nothing of ours needs these checks (mypy has them), and `python -O` leaves them out as well.
typeguard.typechecked = _as_it_is
