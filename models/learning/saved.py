"""A learned policy in a file: its network, what it adjusts, its training range, and the verdict on it.

One numpy .npz beside the twin: arrays and one JSON text; nothing in it is executed, and it appears whole or not at all.
"""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from lake.errors import InputError
from models.learning.adjusting import ANSWERS, KNOWN, SEEN, adjusted, describe, inputs
from models.learning.handover import Guarded, Range, guarded
from models.learning.promotion import Promotion
from models.twin import files
from models.twin.layout import Layout
from models.twin.policies import reorder_point
from models.twin.state import Policy
from models.twin.twin import Twin

FORMAT = 1
LEARN_AGAIN = "learn again with `stocklake twin learn`"


@dataclass(frozen=True)
class Factors:
    """The tuned classical policy: the twin's own (s, S), times factors where goods are bought and where they are sent."""

    bought_point: float = 1.0
    sent_point: float = 1.0
    bought_batch: float = 1.0
    sent_batch: float = 1.0

    @property
    def sentence(self) -> str:
        """Return it in a sentence."""
        return (
            f"reorder points x {self.bought_point:.2f} where goods are bought, x {self.sent_point:.2f} where they are sent; "
            f"batches x {self.bought_batch:.2f} and x {self.sent_batch:.2f}"
        )

    def moved(self, name: str, by: float) -> "Factors":
        """Return the factors with one of them changed; none falls below .05."""
        return replace(self, **{name: max(getattr(self, name) + by, 0.05)})

    def parameters(self, twin: Twin, layout: Layout) -> dict[str, Any]:
        """Return the parameters of `reorder_point` for a twin."""
        buys = twin.echelon > 0
        point = twin.reorder_point * np.where(buys, self.bought_point, self.sent_point)
        batch = (twin.order_up_to - twin.reorder_point) * np.where(buys, self.bought_batch, self.sent_batch)
        return {
            name: layout.at_nodes(each)
            for name, each in (("point", point), ("level", point + batch), ("echelon", twin.echelon))
        }


@dataclass(frozen=True)
class Learned:
    """A learned policy of a company's twin."""

    factors: Factors
    layers: tuple[tuple[Any, Any], ...]
    range: Range
    release_id: str
    places: tuple[str, ...]
    lanes: tuple[str, ...]
    seed: int
    trained_on: tuple[int, ...]
    """Seeds of paths that training and validation saw."""
    verdict: dict[str, Any] | None = None
    """`Promotion.to_dict`; None: nobody has judged it."""

    @classmethod
    def of(
        cls, twin: Twin, factors: Factors, net: Any, range_: Range, seed: int, trained_on: tuple[int, ...]
    ) -> "Learned":
        """Keep what was learned in a twin."""
        return cls(factors, tuple(net), range_, twin.release_id, *_names(twin), seed, trained_on)

    @property
    def promoted(self) -> bool:
        """Return whether it may order."""
        return bool(self.verdict and self.verdict["promoted"])

    def judged(self, promotion: Promotion) -> "Learned":
        """Return it with a verdict."""
        return replace(self, verdict=promotion.to_dict())

    def player(self, twin: Twin, layout: Layout) -> tuple[Policy, Guarded]:
        """Return the policy, which hands over to the tuned classical one outside its range, and its parameters for a twin.

        Raises `InputError` where the twin has other places or lanes than the one it was learned in.
        """
        self.check(twin)
        classical = self.factors.parameters(twin, layout)
        own = {"net": list(self.layers), "places": describe(twin, layout), "classical": classical}
        return guarded(adjusted, reorder_point, inputs), Guarded(own, classical, self.range)

    def check(self, twin: Twin) -> None:
        """Raise `InputError` where the policy is of another network."""
        places, lanes = _names(twin)
        for what, ours, theirs in (("place", self.places, places), ("lane", self.lanes, lanes)):
            other = sorted(set(ours) ^ set(theirs))
            if other:
                raise InputError(
                    f"The learned policy is of another network ({what} {other[0]} is in one of them only): {LEARN_AGAIN}."
                )

    def save(self, path: Path) -> None:
        """Write it; a file that stands already is replaced when the new one is whole."""
        arrays = {
            f"layer.{at}.{part}": np.asarray(each)
            for at, pair in enumerate(self.layers)
            for part, each in enumerate(pair)
        }
        for name, levels in self.range._asdict().items():
            arrays |= {
                f"range.{name}.{at}": np.asarray(each) for at, each in enumerate(levels) if each is not None
            }
        text = {
            "format": FORMAT, "architecture": {"layers": len(self.layers), "sees": [*SEEN], "knows": [*KNOWN], "answers": [*ANSWERS]},
            "factors": asdict(self.factors), "release_id": self.release_id, "places": self.places, "lanes": self.lanes,
            "seed": self.seed, "trained_on": self.trained_on, "levels": len(self.range.low), "verdict": self.verdict,
        }  # fmt: skip
        files.write(path, json.dumps(_plain(text)), arrays)

    @classmethod
    def load(cls, path: Path) -> "Learned":
        """Read it. Raises `InputError` where there is none, or where it is damaged or of another version."""
        with files.reading(path, "learned policy", "stocklake twin learn", FORMAT) as (text, arrays):
            shape = text["architecture"]
            if (shape["sees"], shape["knows"], shape["answers"]) != ([*SEEN], [*KNOWN], [*ANSWERS]):
                raise ValueError("another version wrote it")
            layers = tuple(
                (jnp.asarray(arrays[f"layer.{at}.0"]), jnp.asarray(arrays[f"layer.{at}.1"]))
                for at in range(shape["layers"])
            )
            _check_layers(layers)
            low, high = (
                (None, *(jnp.asarray(arrays[f"range.{name}.{at}"]) for at in range(1, text["levels"])))
                for name in ("low", "high")
            )
            return cls(
                Factors(**text["factors"]), layers, Range(low, high), text["release_id"], tuple(text["places"]),
                tuple(text["lanes"]), text["seed"], tuple(text["trained_on"]), text["verdict"],
            )  # fmt: skip


def _check_layers(layers: tuple[tuple[Any, Any], ...]) -> None:
    width = len(SEEN) + len(KNOWN)
    for weights, bias in layers:
        if weights.shape != (len(bias), width) or not (
            jnp.isfinite(weights).all() & jnp.isfinite(bias).all()
        ):
            raise ValueError("its layers do not fit together, or hold what is no number")
        width = len(bias)
    if width != len(ANSWERS):
        raise ValueError("its last layer gives other answers")


def _names(twin: Twin) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return tuple(twin.network.node_names), tuple(lane.name for lane in twin.network.lanes)


def _plain(value: Any) -> Any:
    """Return JSON values: what is no number is null."""
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
