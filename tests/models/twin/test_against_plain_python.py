"""The simulator against the same rules in plain Python, over random networks: every flow of every place and period."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models.twin.slow import Slow
from tests.models.twin.worlds import PERIODS, REPLICATIONS, answer, random_world


@settings(max_examples=6, deadline=None, derandomize=True)
@given(st.integers(0, 10_000))
def test_the_twin_is_the_slow_twin_and_conserves_stock(seed):
    world = random_world(seed)
    fast = answer(world)
    assert_equal(world, fast)
    assert_conserved(world, fast)


def assert_equal(world, fast):
    network, places = world.network, [i for i, n in enumerate(world.network.nodes) if n.kind != "supplier"]
    for replication in range(REPLICATIONS):
        outside = {
            name: each[..., replication] if name in ("demand", "lead") else each
            for name, each in world.outside.items()
        }
        slow = Slow(network, world.rules, world.level, use_echelon=world.use_echelon, outside=outside)
        for t in range(PERIODS):
            slow.period(t)
            for i in range(len(network.items)):
                for e in range(len(network.lanes)):
                    for name in ("ordered", "shipped", "arrived"):
                        _same(
                            fast[name][t, e, i, replication],
                            getattr(slow, name)[e, i],
                            name,
                            t,
                            network.lanes[e].name,
                        )
                for p in places:
                    node = network.nodes[p].name
                    _same(fast["on_hand"][t, p, i, replication], slow.held(node, i), "on hand", t, node)
                    for name in ("sold", "lost", "wasted"):
                        if name in fast:
                            _same(
                                fast[name][t, p, i, replication],
                                getattr(slow, name).get((node, i), 0),
                                name,
                                t,
                                node,
                            )


def _same(ours, theirs, name, t, where):
    assert np.isclose(ours, theirs, atol=2e-2, rtol=1e-4), (
        f"{name} of {where} in period {t}: {ours} against {theirs}"
    )


def assert_conserved(world, fast):
    """Opening + arrived + came by itself = sold + sent + wasted + closing, at every place, in every period."""
    network = world.network
    zero = np.zeros_like(fast["on_hand"])
    for p, node in enumerate(network.nodes):
        if node.kind == "supplier":
            continue
        into = [e for e, lane in enumerate(network.lanes) if lane.destination == node.name]
        out = [e for e, lane in enumerate(network.lanes) if lane.origin == node.name]
        closing = fast["on_hand"][:, p] + fast["in_transit"][:, into].sum(1)
        opening = closing[:-1]
        change = (
            fast["shipped"][1:, into].sum(1)
            + fast.get("inflow", zero)[1:, p]
            - fast["sold"][1:, p]
            - fast["shipped"][1:, out].sum(1)
            - fast.get("wasted", zero)[1:, p]
        )
        assert np.allclose(opening + change, closing[1:], atol=1e-2), node.name
        assert (fast["on_hand"][:, p] >= -1e-3).all()
        assert (fast["in_transit"][:, into] >= -1e-3).all()
