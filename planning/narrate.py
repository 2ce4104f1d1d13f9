"""The words of an explanation: from the plain values of `Explanation.to_dict()` to lines of text.

Belongs here: wording and the formulas filled in. No markup: whoever prints it decides on colour.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from models.replenishment.reasons import number

Row = dict[str, Any]

LONGEST_TEXT_LINES = 20
"""Lines of an order that are told in words: nobody reads a thousand."""


def order_lines(explanation: Row) -> list[str]:
    """Return the explanation as text, without line ends."""
    return [
        *_head(explanation["order"], explanation["release"]),
        *_items(explanation),
        *_the_rest(explanation),
    ]


def _head(order: Row, release: Row) -> Iterator[str]:
    items = "1 item" if order["line_count"] == 1 else f"{order['line_count']} items"
    yield (
        f"Order {order['order_id']}: {order['units']:,} units of {items} from {order['supplier_id']} "
        f"to {order['location_id']}, needed {order['need_date']}"
    )
    yield (
        f"  {order['goods_cost']:,.2f} + freight {order['freight_cost']:,.2f} = {order['total_cost']:,.2f} "
        f"{order['currency']}"
    )
    yield f"  release {release['release_id']}, snapshot {release['snapshot_id']} of the lake, as of {release['as_of']}"
    if order["status"] != "open":
        yield f"  {order['status']} by {order['superseded_by']}: it stands no more"
    if order["is_assumed"]:
        yield "  ASSUMED: stock or supplier terms follow rules in company.yaml, not data"


def _items(explanation: Row) -> Iterator[str]:
    currency = explanation["order"]["currency"]
    for line in _dearest(explanation["lines"]):
        yield ""
        yield f"{line['order']['line_number']}. Item {line['order']['item_id']}"
        yield f"   why        {line['order']['reason']}"
        yield f"   forecast   {_forecast(line['forecast'])}"
        yield f"   stock      {_stock(line['stock'])}"
        yield f"   lead time  {_lead_time(line['lead_time'])}"
        yield from _titled("policy", _policy(line))
        yield f"   cost       {_cost(line, currency)}"
        yield from _titled("legacy", _legacy(line, currency))
        yield from _titled("facts", map(_fact, line["facts"]))


def _dearest(lines: list[Row]) -> list[Row]:
    """Return the lines worth reading first: all of a short order, the dearest of a long one, in their order."""
    if len(lines) <= LONGEST_TEXT_LINES:
        return lines
    dearest = sorted(lines, key=lambda line: (-line["cost"]["goods_cost"], line["order"]["line_number"]))
    return sorted(dearest[:LONGEST_TEXT_LINES], key=lambda line: line["order"]["line_number"])


def _the_rest(explanation: Row) -> Iterator[str]:
    left_out = len(explanation["lines"]) - LONGEST_TEXT_LINES
    if left_out > 0:
        yield ""
        yield f"These are the {LONGEST_TEXT_LINES} dearest lines. For one of the other {left_out:,}: --item CODE; for all: --json"


def _titled(title: str, texts: Iterable[str]) -> Iterator[str]:
    for index, text in enumerate(texts):
        yield f"   {title if index == 0 else '':<11}{text}"


def _forecast(forecast: Row) -> str:
    models = ", ".join(forecast.get("models", [])) or "no forecast: no demand expected"
    places = f" at {forecast['locations']} locations" if forecast.get("locations", 1) > 1 else ""
    return (
        f"{number(forecast['mean_units'])} units in {number(forecast['window_days'])} days, 8 times in 10 between "
        f"{number(forecast['p10_units'])} and {number(forecast['p90_units'])}; model {models}{places}"
    )


def _stock(stock: Row) -> str:
    cover = stock["days_of_cover_before"], stock["days_of_cover_after"]
    lasts = "" if None in cover else f"; lasts {number(cover[0])} days, {number(cover[1])} with the order"
    return (
        f"on hand {stock['on_hand_units']:,} + in transit {stock['in_transit_units']:,} + on order "
        f"{stock['on_order_units']:,} = position {stock['inventory_position_units']:,}{lasts}"
    )


def _lead_time(lead: Row) -> str:
    contract = "" if lead["contract_days"] is None else f"; the contract says {lead['contract_days']}"
    return f"mean {number(lead['mean_days'])} days, standard deviation {number(lead['std_days'])}{contract}"


def _policy(line: Row) -> Iterator[str]:
    policy, lead, legacy = line["policy"], line["lead_time"], line["legacy"]
    days = lead["mean_days"] + policy["review_period_days"]
    mean, point, level = (
        policy["demand_mean_units"],
        policy["reorder_point_units"],
        policy["order_up_to_units"],
    )
    yield (
        f"{policy['name']}, every {policy['review_period_days']} days; {policy['distribution'].replace('_', ' ')} demand, "
        f"cycle service {policy['cycle_service_level']:.1%} (fill rate at least {policy['expected_fill_rate']:.1%} expected)"
    )
    yield (
        f"sigma = sqrt({number(days)} days x {number(policy['variance_per_day'])} + {number(policy['demand_per_day_units'])}^2"
        f" x {number(lead['std_days'])}^2) = {number(policy['demand_std_units'])}"
    )
    yield (
        f"safety stock = quantile({policy['cycle_service_level']:.1%}) of mean {number(mean)}, sigma "
        f"{number(policy['demand_std_units'])}, less the mean = {number(policy['safety_stock_units'])}"
    )
    yield f"reorder point s = {number(mean)} + {number(policy['safety_stock_units'])} = {number(point)}"
    yield (
        f"order-up-to level S = {number(point)} + {number(level - point)} (what one review period leaves of the "
        f"EOQ {number(legacy['eoq_units'])}) = {number(level)}"
    )
    limit = f", cut by {policy['limit_applied'].replace('_', ' ')}" if policy["limit_applied"] else ""
    position = line["stock"]["inventory_position_units"]
    yield (
        f"order = {number(level)} - {position:,} = {number(level - position)}, in packs of {policy['pack_size_units']:,}, "
        f"at least {policy['minimum_order_units']:,}{limit} = {policy['order_quantity_units']:,}"
    )


def _cost(line: Row, currency: str) -> str:
    cost, units = line["cost"], line["order"]["order_quantity_units"]
    if cost["freight_cost_per_unit"] is None:
        freight = "no freight rate known for the lane, counted as 0"
    else:
        rate = f"{cost['freight_cost_per_unit']:.4f}" + (
            f" by {cost['freight_mode']}" if cost["freight_mode"] else ""
        )
        freight = f"freight {units:,} x {rate} = {cost['freight_cost']:,.2f}"
    return f"{units:,} x {cost['unit_price']:.4f} = {cost['goods_cost']:,.2f} {currency}; {freight}"


def _legacy(line: Row, currency: str) -> Iterator[str]:
    legacy, position = line["legacy"], line["stock"]["inventory_position_units"]
    point, level = legacy["legacy_reorder_point_units"], legacy.get("weekly_review_order_up_to_units")
    contract = line["lead_time"]["contract_days"]
    lead = "the contract's lead time" if contract is None else f"the contract's lead time of {contract} days"
    yield f"what the usual rules do with the same data, trusting {lead}, without minimum order or limits:"
    yield (
        f"fixed reorder point {number(point)}, watched every day, with EOQ {number(legacy['eoq_units'])}: {_would(legacy['legacy_order_units'])}, "
        f"position {position:,} is {'at or below' if position <= point else 'above'} it{_yearly(legacy, 'legacy', currency)}"
    )
    up_to = "" if level is None else f" up to {number(level)}"
    yield (
        f"weekly review{up_to}: {_would(legacy['weekly_review_order_units'])}{_yearly(legacy, 'weekly_review', currency)}"
    )
    ours = _yearly(legacy, "policy", currency)
    if ours:
        yield f"the policy of this order: {_would(line['order']['order_quantity_units'])}{ours}"
        yield "costs are those of placing orders and holding stock; served is the share of demand met at once from stock"


def _would(units: int) -> str:
    return f"order {units:,} now" if units else "order nothing now"


def _yearly(legacy: Row, policy: str, currency: str) -> str:
    """What a policy costs in a year and serves; nothing where the plan is of a version that did not say."""
    cost, fill_rate = legacy.get(f"{policy}_cost_per_year"), legacy.get(f"{policy}_fill_rate")
    if cost is None or fill_rate is None:
        return ""
    return f"; {cost:,.0f} {currency} a year, {fill_rate:.1%} served"


def _fact(fact: Row) -> str:
    if fact["file"] is None:
        return f"{fact['kind']}: {fact['statement']}"
    return f"{fact['kind']}: {fact['statement']} ({fact['dated']}) <- {fact['file']}, line {fact['line']}"
