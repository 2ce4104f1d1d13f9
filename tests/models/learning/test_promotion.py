"""Promotion and hand-over: the better policy on every set or none, the classical order outside what training saw."""

import jax.numpy as jnp
import numpy as np
import pytest

from lake.errors import InputError
from models.learning.handover import (
    NO_NUMBER,
    Guarded,
    Range,
    decide,
    explain,
    guarded,
    handed_over,
    trained_range,
)
from models.learning.promotion import compare, judge
from models.learning.stage import Contender, Stage
from models.twin.policies import base_stock
from tests.models.learning.test_environment import poisson_paths, store_network

REPLICATIONS, PERIODS = 12, 40


@pytest.fixture(scope="module")
def stage():
    return Stage.of(store_network())


def up_to(stage, level: float) -> Contender:
    return Contender(base_stock, {"level": stage.layout.at_nodes([[0.0], [level]])})


def world(mean: float):
    return poisson_paths(store_network(), REPLICATIONS, mean, PERIODS)


def high_against_low(stage, **stress: float):
    """Compare ordering up to 13 with up to 8, where customers want 5 and as much as `stress` says."""
    worlds = {"normal": world(5.0), **{name: world(mean) for name, mean in stress.items()}}
    return compare(stage, up_to(stage, 13.0), up_to(stage, 8.0), worlds, seeds=[1, 2])


def test_better_everywhere_is_promoted_and_said_with_figures(stage):
    found = high_against_low(stage, surge=6.0)
    assert found.promoted and found.replications == 2 * REPLICATIONS
    for test in found.tests:
        assert test.difference["cost"].high < 0
        assert test.difference["cost"].mean == pytest.approx(
            test.candidate["cost"].mean - test.classical["cost"].mean
        )
        assert test.difference["fill_rate"].low > 0 and test.candidate["bullwhip"].mean > 0
    assert found.reasons[0].startswith("normal: costs less than the classical policy by")
    assert found.to_dict()["tests"][1]["difference"]["cost"]["high"] < 0


def test_better_on_all_sets_but_one_is_not_promoted_and_that_one_stands_first(stage):
    found = high_against_low(stage, slump=1.0)
    assert not found.promoted and [test.better for test in found.tests] == [True, False]
    assert found.reasons[0].startswith("slump: costs more than the classical policy by")


def test_the_same_policy_and_one_that_is_hardly_better_are_not_promoted(stage):
    worlds = {"normal": world(5.0), "surge": world(6.0)}
    same = compare(stage, up_to(stage, 17.0), up_to(stage, 17.0), worlds, seeds=[1])
    assert not same.promoted and "not told apart" in same.reasons[0]
    luck = np.random.default_rng(1).normal(0, 10, 20)
    hardly = {"cost": 100 + luck - 1.0}
    verdict = judge(
        {"normal": (hardly, {"cost": 100 + luck[::-1]}), "s": (hardly, {"cost": 100 + luck})}, (1,)
    )
    assert [test.better for test in verdict.tests] == [False, True] and not verdict.promoted


def test_stock_left_at_the_end_is_worth_its_price():
    network = store_network()
    network.lanes[0] = type(network.lanes[0])(**(vars(network.lanes[0]) | {"unit_cost": 3.0}))
    sold_out, kept = Stage.of(network), Stage.of(network, stock_is_worth=True)
    paths = poisson_paths(network, 2, 5.0, 10)(1)
    outcome = kept.outcome(up_to(kept, 30.0), paths)
    left = np.asarray(outcome.state[1].on_hand + outcome.state[1].in_transit).sum((0, 1)) - 10.0
    assert np.allclose(sold_out.cost(outcome) - kept.cost(outcome), 3.0 * left, rtol=1e-5)


def test_what_is_no_comparison_is_refused(stage):
    one, other = up_to(stage, 13.0), up_to(stage, 8.0)
    worlds = {"normal": world(5.0), "surge": world(6.0)}
    with pytest.raises(InputError, match="at least one stress scenario"):
        compare(stage, one, other, {"normal": world(5.0)}, seeds=[1])
    with pytest.raises(InputError, match="trained on the seed 2"):
        compare(stage, one, other, worlds, seeds=[1, 2], trained_on=[2, 3])
    with pytest.raises(InputError, match="stands twice"):
        compare(stage, one, other, worlds, seeds=[1, 1])
    with pytest.raises(InputError, match="at least 8"):
        compare(stage, one, other, {name: poisson_paths(store_network(), 2) for name in worlds}, seeds=[1, 2])
    with pytest.raises(InputError, match="not a number"):
        compare(stage, up_to(stage, float("nan")), other, worlds, seeds=[1])


def more(parameters, o):
    """Order twice what is missing."""
    return 2 * base_stock(parameters, o)


def seen(parameters, o):
    return jnp.stack([o.position, o.on_hand])


NAMES = ("stock position", "on hand")


def test_inside_its_range_the_learned_policy_decides_outside_the_classical_one(stage):
    ours, usual = up_to(stage, 12.0).parameters, up_to(stage, 15.0).parameters
    learned = Contender(more, ours)
    known = trained_range(stage, learned, seen, [world(5.0)], [1])
    inside = handed_over(stage, more, base_stock, seen, Guarded(ours, usual, known), world(5.0)(1), NAMES)
    assert inside.share == 0 and "nothing lay outside" in inside.sentence
    alone = stage.play(learned, world(5.0), [1])["cost"]
    policy = guarded(more, base_stock, seen)
    assert policy is guarded(more, base_stock, seen), "equal arguments compile once"
    assert np.array_equal(
        stage.play(Contender(policy, Guarded(ours, usual, known)), world(5.0), [1])["cost"], alone
    )

    nothing = Range((None, jnp.full(2, 1e6)), (None, jnp.full(2, 2e6)))
    all_over = Guarded(ours, usual, nothing)
    classical = stage.play(up_to(stage, 15.0), world(5.0), [1])["cost"]
    assert np.array_equal(stage.play(Contender(policy, all_over), world(5.0), [1])["cost"], classical)
    counted = handed_over(stage, more, base_stock, seen, all_over, world(5.0)(1), NAMES)
    assert counted.share == 1 and counted.by_place == {"store": 1.0} and counted.by_item == {"i": 1.0}
    assert "100.00%" in counted.sentence and "stock position" in counted.sentence

    slump = handed_over(stage, more, base_stock, seen, Guarded(ours, usual, known), world(9.0)(1), NAMES)
    assert 0 < slump.share < 1 and slump.by_input["on hand"] + slump.by_input["stock position"] == slump.share


def no_number(parameters, o):
    return jnp.full_like(o.position, jnp.nan)


def test_every_decision_has_the_classical_one_beside_it_and_says_who_decided_and_why(stage):
    ours, usual = up_to(stage, 12.0).parameters, up_to(stage, 15.0).parameters
    known = Range((None, jnp.array([0.0, 0.0])), (None, jnp.array([9.0, 50.0])))
    made = []

    def watched(learned):
        def policy(parameters, o):
            made.append(decide(learned, base_stock, seen, parameters, o))
            return made[-1].ordered

        return policy

    from models.twin.simulate import step_period

    now = poisson_paths(store_network(), 1)(1)
    now = now._replace(demand=tuple(None if each is None else 0 * each[0] for each in now.demand))
    arguments = (Guarded(ours, usual, known), stage.numbers, stage.state, jnp.int32(0), now)
    step_period(stage.layout, stage.rules, watched(more), *arguments)
    told = explain(made[0], NAMES, known, 1, 0, 0)
    assert told == (
        "5.0 units, handed over to the classical policy (learned 4.0, classical 5.0 units): stock position is 10.00 and "
        "training saw 0.00 to 9.00."
    )
    wide = Range((None, jnp.array([0.0, 0.0])), (None, jnp.array([99.0, 99.0])))
    step_period(stage.layout, stage.rules, watched(more), Guarded(ours, usual, wide), *arguments[1:])
    assert explain(made[1], NAMES, wide, 1, 0, 0).startswith("4.0 units, as learned")
    step_period(stage.layout, stage.rules, watched(no_number), Guarded(ours, usual, wide), *arguments[1:])
    assert float(made[2].ordered[0, 0, 0]) == 5 and NO_NUMBER in explain(made[2], NAMES, wide, 1, 0, 0)
