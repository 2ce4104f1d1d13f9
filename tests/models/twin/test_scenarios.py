"""Scenarios: what may be written, whom selectors mean, that events combine, and that one of size zero changes nothing."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from lake.errors import InputError
from models.twin.events import Outside, spans
from models.twin.network import Lane, LeadTime, Network, Node
from models.twin.scenario_model import Scenario
from models.twin.scenarios import LIBRARY, Applier, Throughput, first_day, load, read

DAYS = 40


def network() -> Network:
    nodes = [
        Node("S1", "supplier", region="DE"),
        Node("S2", "supplier", region="CN"),
        Node("H1", "hub", region="East", on_hand=50),
        Node("H2", "hub", region="West", on_hand=50),
        Node("T1", "store", region="East", has_demand=True, price=3.0, on_hand=20),
        Node("T2", "store", region="West", has_demand=True, price=3.0, on_hand=20),
    ]
    time = LeadTime((2, 3), (0.5, 0.5))
    lanes = [
        Lane("S1", "H1", mode="road", lead_time=time, unit_cost=1.0, freight_per_kg=0.1, fuel_share=0.2),
        Lane("S2", "H1", mode="rail", lead_time=time, share=0.0, unit_cost=1.2),
        Lane("S1", "H2", mode="road", lead_time=time, unit_cost=1.0),
        Lane("H1", "T1", freight_per_kg=0.3, fuel_share=0.5),
        Lane("H2", "T2"),
    ]
    return Network(["a", "b"], nodes, lanes, categories=["Paper", "Pet"]).checked()


def applier(known=None, seed=7):
    size = Throughput(np.array([30.0, 5, 20, 10, 20, 10]), np.array([40.0, 20]))
    return Applier(network(), size, known or {}, seed)


def calm():
    demand = np.random.default_rng(1).poisson(4, (DAYS, 6, 2, 3)).astype(np.float32)
    return Outside(demand)


def scenario(*events, name="s"):
    return Scenario.model_validate({"name": name, "title": "t", "events": list(events)})


def test_all_that_is_shipped_can_be_applied_and_is_named_as_its_file():
    known = load([LIBRARY])
    assert len(known) >= 14
    assert {"hub-blocked-48h", "fuel-plus-10", "supplier-lost", "demand-surge"} <= known.keys()
    for each in known.values():
        changed = applier(known).apply(each, calm())
        assert any(getattr(changed, name) is not getattr(calm(), name) for name in vars(changed))


def test_selectors_mean_whom_they_say():
    shut = applier().apply(
        scenario({"event": "close", "places": {"kind": "hub", "largest": 1}, "from_day": 3, "hours": 36}),
        calm(),
    )
    assert shut.node_open[:, :, 0, 0].T.tolist()[2][:6] == [1, 1, 1, 0, 0.5, 1]
    assert (shut.node_open[:, [3, 4, 5]] == 1).all()
    assert shut.lane_open[3, :, 0, 0].tolist() == [1, 1, 1, 0, 1], (
        "what leaves it is closed, what comes waits at its door"
    )
    late = applier().apply(
        scenario({"event": "stretch_lead_time", "lanes": {"mode": ["rail"]}, "factor": 2, "from_day": 0}),
        calm(),
    )
    assert late.lead[0, :, 0, 0].tolist() == [2, 4, 2, 1, 1]
    more = applier().apply(
        scenario(
            {
                "event": "demand",
                "percent": 100,
                "items": {"category": ["Pet"]},
                "places": {"region": ["West"]},
                "from_day": 0,
            }
        ),
        calm(),
    )
    assert (more.demand[:, 5, 1] == 2 * calm().demand[:, 5, 1]).all()
    assert (more.demand[:, :5] == calm().demand[:, :5]).all() and (
        more.demand[:, 5, 0] == calm().demand[:, 5, 0]
    ).all()


def test_events_of_size_zero_change_nothing_and_events_combine():
    nothing = scenario(
        {"event": "demand", "percent": 0},
        {"event": "fuel", "percent": 0},
        {"event": "price", "percent": 0},
        {"event": "close", "places": {"kind": "hub"}, "hours": 0},
        {"event": "stretch_lead_time", "lanes": {"mode": ["road"]}, "factor": 1},
        {"event": "random", "risks": [{"per_year": 0, "hours": [1, 2, 3], "what": {"event": "erp_outage"}}]},
    )
    same = applier().apply(nothing, calm())
    assert (same.demand == calm().demand).all()
    for name in ("node_open", "lane_open", "can_order", "fuel_factor", "price_factor"):
        assert getattr(same, name) is None or (getattr(same, name) == 1).all(), name
    one = scenario({"event": "fuel", "percent": 10, "from_day": 0}, name="one")
    two = scenario(
        {"event": "include", "scenario": "one"}, {"event": "fuel", "percent": 10, "from_day": 0}, name="two"
    )
    assert (
        first_day(two, {"one": one}) == 0
        and first_day(load([LIBRARY])["perfect-storm"], load([LIBRARY])) == 14
    )
    both = applier({"one": one, "two": two}).apply(two, calm())
    assert np.allclose(both.fuel_factor, 1.21)


def test_a_lost_supplier_is_replaced_where_there_is_another():
    lost = applier().apply(
        scenario(
            {"event": "lose_supplier", "places": {"id": ["S1"]}, "from_day": 5, "reroute_after_days": 10}
        ),
        calm(),
    )
    assert lost.share[14, :, 0, 0].tolist() == [1, 0, 1, 1, 1]
    assert lost.share[15, :, 0, 0].tolist() == [0, 1, 1, 1, 1], "H2 has nobody else and goes on asking"
    assert lost.lane_open[5:, 0].max() == 0 and lost.lane_open[:5].min() == 1


def test_bad_luck_is_drawn_anew_in_every_replication_and_again_alike():
    register = scenario(
        {
            "event": "random",
            "risks": [{"per_year": 30, "hours": [24, 24, 24], "what": {"event": "erp_outage"}}],
        }
    )
    first, again = (applier().apply(register, calm()).can_order for _ in range(2))
    assert (first == again).all()
    assert len({first[:, 0, 0, r].tobytes() for r in range(3)}) == 3


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name: s\ntitle: t\nevents: [{event: close, hours: 4}]", "name places or lanes that are closed"),
        ("name: s\ntitle: t\nevents: [{event: flood}]", "flood"),
        ("name: s\ntitle: t\nevents: [{event: fuel, percent: ten}]", "percent"),
        ("name: s\ntitle: t\nevents: [{event: erp_outage, hours: -4}]", "greater than or equal to 0"),
        ("name: other\ntitle: t\nevents: []", "name the file as the scenario"),
        ("[]", "no mapping"),
        ("name: [", "cannot be read"),
    ],
)  # fmt: skip
def test_what_is_written_wrongly_is_told_with_file_and_field(tmp_path: Path, text, told):
    path = tmp_path / "s.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=told) as raised:
        read(path)
    assert "s.yaml" in str(raised.value) and str(raised.value).count("\n") == 0


@pytest.mark.parametrize(
    ("event", "told"),
    [
        (
            {"event": "close", "places": {"id": ["DC-9"]}},
            "names the place 'DC-9', which the twin does not have",
        ),
        ({"event": "demand", "percent": 5, "items": {"category": ["Toys"]}}, "the category 'Toys'"),
        ({"event": "recall", "items": {"id": ["zz"]}}, "the item 'zz'"),
        ({"event": "strike", "lanes": {"mode": ["sea"]}}, "means no lane of the twin"),
        ({"event": "include", "scenario": "nope"}, "There is no scenario 'nope'"),
        ({"event": "include", "scenario": "s"}, "includes itself"),
    ],
)
def test_a_scenario_that_means_nothing_is_one_clear_sentence(event, told):
    asked = scenario(event)
    with pytest.raises(InputError, match=told):
        applier({"s": asked}).apply(asked, calm())


def test_a_company_may_replace_what_is_shipped(tmp_path: Path):
    own = {"name": "fuel-plus-10", "title": "ours", "events": [{"event": "fuel", "percent": 11}]}
    (tmp_path / "fuel-plus-10.yaml").write_text(yaml.safe_dump(own), encoding="utf-8")
    assert load([LIBRARY, tmp_path])["fuel-plus-10"].title == "ours"


def test_spans_are_shares_of_periods():
    assert spans(5, 1.5, 2).tolist() == [0, 0.5, 1, 0.5, 0]
