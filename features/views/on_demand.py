"""Features computed from other features when they are asked for: at training, at a read and at a push by one function."""

import pandas as pd
from feast import Field
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64

from features.views.demand import DOW_MEANS, demand_history, inventory
from features.views.surroundings import calendar


@on_demand_feature_view(  # type: ignore[untyped-decorator]
    name="stock_cover",
    sources=[
        inventory[["on_hand_units"]],
        demand_history[["mean_28", *DOW_MEANS]],
        calendar[["day_of_week"]],
    ],
    # Feast takes no description of these: it compares them whole with what it infers from the function.
    schema=[Field(name="days_of_cover", dtype=Float64), Field(name="days_to_stockout", dtype=Float64)],
    description="days_of_cover: days that the stock lasts at the mean demand of the last 28 days. days_to_stockout: days until"
    " it is used up if each weekday wants what it wanted of late. Null where stock or demand is unknown, or none is wanted.",
    owner="inventory control",
    tags={"layer": "on demand", "grain": "item x location", "unit": "days"},
)
def stock_cover(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the two columns for a frame of inputs, all rows at once."""
    # Feast keeps this function by value: what it needs is imported within.
    import numpy as np
    import pandas as pd

    from features.cover import days_of_cover, days_to_stockout

    def column(name: str) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
        values = pd.to_numeric(frame[name], errors="coerce").to_numpy(dtype="float64", na_value=np.nan)
        return np.asarray(values, dtype=np.float64)

    on_hand = column("on_hand_units")
    weekdays = [column(f"dow_mean_{day}") for day in range(1, 8)]
    result = pd.DataFrame(index=frame.index)
    result["days_of_cover"] = days_of_cover(on_hand, column("mean_28"))
    result["days_to_stockout"] = days_to_stockout(on_hand, weekdays, column("day_of_week"))
    return result
