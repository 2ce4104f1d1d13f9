"""What is wrong with a network or its demand is said in one sentence; lead times and results as they are computed."""

from dataclasses import replace

import numpy as np
import pytest

from lake.errors import InputError
from models.twin import demand as sampling
from models.twin.layout import make_layout
from models.twin.lead_times import empirical, from_quantiles
from models.twin.network import Lane, LeadTime, Network, Node
from models.twin.results import Estimate, difference


def good() -> Network:
    nodes = [Node("S", "supplier"), Node("H", "hub"), Node("T", "store", has_demand=True)]
    return Network(["a", "b"], nodes, [Lane("S", "H"), Lane("H", "T")])


def changed_node(**change):
    return replace(good(), nodes=[*good().nodes[:2], replace(good().nodes[2], **change)])


def changed_lane(**change):
    return replace(good(), lanes=[good().lanes[0], replace(good().lanes[1], **change)])


@pytest.mark.parametrize(
    ("network", "told"),
    [
        (
            replace(good(), lanes=[*good().lanes, Lane("T", "H")]),
            "goes round in a circle .*T <- H <- T|H <- T <- H",
        ),
        (changed_node(holding_cost=-1.0), "place T: holding cost is -1; it cannot be negative"),
        (changed_node(price=np.array([1.0, np.nan])), "place T: price of item b is nan"),
        (changed_node(price=np.ones(3)), "one per item"),
        (changed_lane(freight_per_kg=-0.1), "lane H -> T .*freight per kg is -0.1"),
        (changed_lane(destination="X"), "leads to 'X', which is no place"),
        (changed_lane(share=1.5), "a share is between 0 and 1"),
        (changed_lane(pack=0.0), "a pack has at least one unit"),
        (changed_lane(lead_time=LeadTime((1, 2), (0.5, 0.4))), "add up to 0.9"),
        (changed_lane(lead_time=LeadTime((-1,), (1.0,))), "whole periods from 0 on"),
        (replace(good(), lanes=[good().lanes[0]]), "Nothing leads to T"),
        (replace(good(), items=["a", "a"]), "item 'a' stands twice"),
        (replace(good(), items=[]), "no items"),
        (changed_node(has_demand=False), "Nobody buys anything"),
        (replace(good(), substitute=[1, 1]), "stands in for one other item at most"),
    ],
)
def test_a_bad_network_is_refused_in_a_sentence(network, told):
    with pytest.raises(InputError, match=told):
        network.checked()


def test_empty_and_impossible_demand_is_refused():
    layout = make_layout(good().checked())
    with pytest.raises(InputError, match="not empty"):
        sampling.per_level(layout, np.zeros((0, 3, 2, 1)))
    with pytest.raises(InputError, match="negative or unknown"):
        sampling.per_level(layout, np.full((4, 3, 2, 1), -1))
    with pytest.raises(InputError, match="history is empty"):
        sampling.bootstrap(np.zeros((0, 3, 2)), 5, 2, np.random.default_rng(1))
    with pytest.raises(InputError, match="forecast is empty"):
        sampling.forecast_paths(np.zeros((0, 3, 2)), [], [], 5, 2, np.random.default_rng(1))


def test_samples_have_the_moments_that_are_asked_for():
    random = np.random.default_rng(2)
    drawn = sampling.negative_binomial(np.array([[4.0, 0.2]]), np.array([[12.0, 0.1]]), 50, 4_000, random)
    assert drawn.mean((0, 1, 3)) == pytest.approx([4, 0.2], rel=0.03)
    assert drawn.var((0, 1, 3)) == pytest.approx([12, 0.2], rel=0.05), (
        "a variance below the mean is a Poisson's"
    )
    week = np.arange(28.0).reshape(28, 1, 1)
    again = sampling.bootstrap(week, 14, 50, random)
    assert ((again[1:7] - again[:6]) == 1).all() and (again[0] % 7 == 0).all()
    path = sampling.forecast_paths(
        np.full((3, 1, 1), 5.0), np.full((3, 1, 1), 2.0), np.full((3, 1, 1), 9.0), 20, 3_000, random
    )
    assert path.shape == (20, 1, 1, 3_000) and path[10:].mean() == pytest.approx(5, rel=0.02)
    assert path.var() == pytest.approx((7 / 2.563) ** 2, rel=0.05)


def test_lead_times_keep_their_luck_when_they_change():
    network = good().with_lanes(lambda lane: replace(lane, lead_time=LeadTime((2, 5), (0.7, 0.3))))
    longer = good().with_lanes(lambda lane: replace(lane, lead_time=LeadTime((4, 10), (0.7, 0.3))))
    drawn, later = (sampling.lead_times(each, 30, 40, np.random.default_rng(3)) for each in (network, longer))
    assert (later == 2 * drawn).all()
    assert sampling.lead_times(good(), 3, 3, np.random.default_rng(3)) is None
    assert (drawn == 5).mean() == pytest.approx(0.3, abs=0.03)


def test_lead_times_from_quantiles_and_observations():
    time = from_quantiles({10: 5.0, 50: 8.0, 90: 14.0, 95: 16.0})
    shares = dict(zip(time.values, np.cumsum(time.probabilities), strict=True))
    assert 0.4 <= max(share for value, share in shares.items() if value <= 8) <= 0.62
    assert max(time.values) <= 19 and min(time.values) >= 1
    assert from_quantiles({50: None}) == LeadTime()
    assert empirical([1, 1, 1, 2], least=1) == LeadTime((1, 2), (0.75, 0.25))
    assert empirical([0, 1], least=1).values == (1,)


def test_intervals_cover_and_pairing_helps():
    random = np.random.default_rng(4)
    luck = random.normal(0, 10, (2_000, 20))
    covered = [each.low <= 0 <= each.high for each in map(Estimate.of, luck)]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.015)
    assert difference(luck[0] + 1, luck[0]).standard_error == pytest.approx(0, abs=1e-9)
    assert Estimate.of([3.0]).to_dict() == {"mean": 3.0, "standard_error": None, "low": None, "high": None}
