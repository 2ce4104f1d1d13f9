"""Which kind of demand a series has: the classes of Syntetos, Boylan and Croston, and the new ones."""

import numpy as np
import numpy.typing as npt

from models.forecasting.history import History

ADI_LIMIT = 1.32
CV2_LIMIT = 0.49
NEW = "new"
SEGMENTS = ("smooth", "intermittent", "erratic", "lumpy", NEW)
MIN_DAYS = 56


def segment_series(history: History, before: int) -> npt.NDArray[np.str_]:
    """Return the segment of each series, from the days before day index `before` only.

    ADI is in-stock days per day with demand, CV² the squared variation coefficient of the demand of such days
    (A. A. Syntetos, J. E. Boylan, J. D. Croston, "On the categorization of demand patterns", JORS 56, 2005):

        ADI <= 1.32: smooth (CV² <= 0.49) or erratic      ADI > 1.32: intermittent (CV² <= 0.49) or lumpy

    `new`: fewer than 56 in-stock days before that day, or no demand at all.
    """
    past = history.demand[:before].astype(np.float64)
    days = np.sum(~np.isnan(past), axis=0)
    sold = np.nan_to_num(past)
    sales = np.count_nonzero(sold > 0, axis=0)
    some = np.maximum(sales, 1)
    mean = sold.sum(axis=0) / some
    variance = np.maximum((sold**2).sum(axis=0) / some - mean**2, 0.0)
    adi = days / some
    cv2 = variance / np.maximum(mean, 1e-9) ** 2

    often, steady = adi <= ADI_LIMIT, cv2 <= CV2_LIMIT
    known = [often & steady, often, steady]
    segments = np.select(known, ["smooth", "erratic", "intermittent"], default="lumpy")
    return np.where((days < MIN_DAYS) | (sales == 0), NEW, segments)
