"""Rules that compare a table's newest days with its own weeks before: volume, nulls, values, mixes, repetition.

Nothing is learned or kept: the same rows give the same verdict. Days are compared, or weeks where a table has fewer than
`minimum_rows` rows a day; the day of the week counts where volume is concerned. How far each earlier day lay from the others
says how far the newest may lie, so what swings is given its swing; the settings (company.yaml, `gate.history`) are the
least that counts. A table with less than three earlier days (of a weekday) or weeks has no history, and passes.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from lake.company import HistorySettings
from lake.contracts.model import Severity
from lake.quality.rules import Rule, identifier, literal

_LEVELS = (0.15, 0.3, 0.5, 0.7, 0.85)


@dataclass(frozen=True)
class Habit:
    """What about a table is compared with its past."""

    table: str
    day: str
    """Its date column; SQL, so a timestamp is cast."""
    numbers: tuple[tuple[str, str, float], ...] = ()
    """(column, SQL of the value, smallest step of it)."""
    money: tuple[str, ...] = ()
    """Those of the numbers that are prices and costs: their level may not shift as a whole."""
    mixes: tuple[str, ...] = ()
    """Columns of a few values each."""
    moments: tuple[str, ...] = ()
    """Timestamps whose hour of the day is compared."""
    optional: tuple[str, ...] = ()
    """Columns that may be empty."""
    series: tuple[str, ...] = ()
    """Columns that name whose value a number is: the item, the lane."""
    repeats: tuple[str, ...] = ()
    """Columns that never repeat as a whole from one day to another, in a table that lives."""
    severity: Severity = "warn"
    row_names: tuple[str, ...] = ()


def history_rules(habit: Habit, settings: HistorySettings) -> Iterator[Rule]:
    """Return the rules of a habit."""
    made = [_volume(habit, settings)]
    if habit.optional:
        made.append(_nulls(habit, settings))
    if habit.repeats:
        made.append(_frozen(habit, settings))
    for column, value, step in habit.numbers:
        made.append(_numbers(habit, settings, column, value, step))
        if habit.series and not column.startswith("_"):
            made.append(_extreme(habit, settings, column, value))
        if habit.series and column in habit.money:
            made.append(_level(habit, settings, column, value))
    made += [
        _mix(habit, settings, column, f"CAST({identifier(column)} AS VARCHAR)") for column in habit.mixes
    ]
    made += [_hours(habit, settings, column) for column in habit.moments]
    for rule in made:
        window = (habit.day, _days(settings))
        yield replace(rule, severity=habit.severity, row_names=habit.row_names, window=window)


def _days(settings: HistorySettings) -> int:
    return settings.weeks * 7 + settings.recent_days


def _rule(habit: Habit, check: str, query: str, columns: tuple[str, ...]) -> Rule:
    return Rule(habit.table, check, query, "found", columns=columns)


def _window(habit: Habit, settings: HistorySettings) -> str:
    """Return CTEs: `span`, one row per day looked at, with the period that it is in; `periods`, one row per period.

    A period is a day or seven. `weekday` sets like periods together, `is_recent` says which are judged.
    """
    return f"""
WITH anchor AS (
    SELECT least(max({habit.day}), (SELECT max(as_of) FROM lake.marts.as_of)) AS newest, min({habit.day}) AS oldest FROM {{table}}
), looked_at AS (
    SELECT CAST(newest - CAST(i AS INTEGER) AS DATE) AS day, i FROM range({_days(settings)}) AS t(i), anchor
    WHERE newest - CAST(i AS INTEGER) >= oldest
), daily AS MATERIALIZED (
    SELECT day, count(*) AS day_rows FROM (SELECT {habit.day} AS day FROM {{table}}) SEMI JOIN looked_at USING (day) GROUP BY day
), pace AS (
    SELECT CASE WHEN sum(day_rows) >= {settings.minimum_rows} * count(*) THEN 1 ELSE 7 END AS step FROM daily
), span AS MATERIALIZED (
    SELECT day, i // step AS period, (i // step) % (7 // step) AS weekday,
        (i // step) * step < {settings.recent_days} AS is_recent, step,
        coalesce(day IN (SELECT calendar_date FROM lake.core.dim_calendar WHERE is_holiday), false) AS is_holiday,
        CASE WHEN step = 1 THEN CAST(day AS VARCHAR) ELSE 'the week to ' || max(day) OVER (PARTITION BY i // step) END AS label
    FROM looked_at, pace
), periods AS (
    SELECT period, weekday, is_recent, label, bool_or(is_holiday) AS is_holiday, coalesce(sum(day_rows), 0) AS period_rows
    FROM span LEFT JOIN daily USING (day) GROUP BY ALL HAVING count(*) = any_value(step)
)"""


def _rows(habit: Habit, columns: str) -> str:
    """Return the FROM clause of the table's rows in the window, with their period; `r` is the row itself."""
    return f"""(
    SELECT _p.period AS period, _p.weekday AS weekday, _p.is_recent AS is_recent, _p.label AS label, {columns}
    FROM (SELECT *, {habit.day} AS _day FROM {{table}}) AS r JOIN (SELECT day AS _on, span AS _p FROM span) ON _day = _on)"""


def _volume(habit: Habit, settings: HistorySettings) -> Rule:
    """Rows of a day against the median of its weekday; by how much, in median absolute deviations (1.4826 MAD = 1 sd)."""
    low, high = settings.volume_low, settings.volume_high
    query = f"""{_window(habit, settings)}, usual AS (
    SELECT weekday, median(period_rows) AS expected, 1.4826 * mad(period_rows) AS spread
    FROM periods WHERE NOT is_recent GROUP BY weekday HAVING count(*) >= 3
)
SELECT format('{{}} has {{:,}} rows where {{:,}} are usual', label, CAST(period_rows AS BIGINT), CAST(expected AS BIGINT)) AS finding,
    label AS period, CAST(period_rows AS BIGINT) AS row_count, expected AS expected_rows
FROM periods JOIN usual USING (weekday)
WHERE is_recent AND expected >= 10 AND abs(period_rows - expected) > 5 * greatest(spread, sqrt(expected))
    AND ((period_rows < {low} * expected AND NOT is_holiday) OR period_rows > {high} * expected)
ORDER BY label"""
    return _rule(
        habit, "has as many rows as usual", query, (habit.day.strip('"'),) if _plain(habit.day) else ()
    )


def _plain(name: str) -> bool:
    return name.startswith('"') and name.count('"') == 2


def _nulls(habit: Habit, settings: HistorySettings) -> Rule:
    names = ", ".join(literal(column) for column in habit.optional)
    shares = ", ".join(f"count(*) FILTER ({identifier(c)} IS NULL) / count(*)" for c in habit.optional)
    query = f"""{_window(habit, settings)}, shares AS (
    SELECT period, is_recent, label, count(*) AS n, unnest([{names}]) AS column_name, unnest([{shares}]) AS share
    FROM {_rows(habit, ", ".join(identifier(c) for c in habit.optional))} GROUP BY period, is_recent, label
), usual AS (
    SELECT column_name, max(share) AS most FROM shares WHERE NOT is_recent GROUP BY column_name HAVING count(*) >= 3
)
SELECT format('{{}}: {{:.0f}} % of {{}} empty, at most {{:.0f}} % before', label, 100 * share, column_name, 100 * most) AS finding,
    label AS period, column_name, share
FROM shares JOIN usual USING (column_name)
WHERE is_recent AND n >= {settings.minimum_rows} AND share > most + {settings.share_moved} / 2 ORDER BY label, column_name"""
    return _rule(habit, "is filled as often as before", query, habit.optional)


def _frozen(habit: Habit, settings: HistorySettings) -> Rule:
    columns = ", ".join(identifier(column) for column in habit.repeats)
    query = f"""{_window(habit, settings)}, prints AS (
    SELECT day, is_recent, n, print, lag(day) OVER (PARTITION BY n, print ORDER BY day) AS before
    FROM (SELECT _day AS day, is_recent, count(*) AS n, sum(hash({columns})) AS print FROM {_rows(habit, f"_day, {columns}")} GROUP BY ALL)
)
SELECT format('{{}} repeats {{}}: all {{:,}} rows have the same values', day, before, n) AS finding, day, before, n AS row_count
FROM prints WHERE is_recent AND n >= {settings.minimum_rows} AND before IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM prints WHERE NOT is_recent AND before IS NOT NULL)
    AND (SELECT count(*) FROM prints WHERE NOT is_recent) >= 3
ORDER BY day"""
    return _rule(habit, "does not repeat an earlier day", query, habit.repeats)


def _numbers(habit: Habit, settings: HistorySettings, column: str, value: str, step: float) -> Rule:
    """Five quantiles of each period on a logarithmic scale through 0; the largest distance from their usual places."""
    scale = f"sign(x) * log2(1 + abs(x) / {step!r})"
    base = ", ".join(f"median(q[{i}])" for i in range(1, len(_LEVELS) + 1))
    away = ", ".join(f"abs(q[{i}] - usual[{i}])" for i in range(1, len(_LEVELS) + 1))
    query = f"""{_window(habit, settings)}, shapes AS (
    SELECT period, is_recent, label, quantile_cont({scale}, {list(_LEVELS)}) AS q, quantile_cont(x, {list(_LEVELS)}) AS seen
    FROM {_rows(habit, f"CAST({value} AS DOUBLE) AS x")} GROUP BY ALL HAVING count(x) >= {settings.minimum_rows}
), base AS (
    SELECT [{base}] AS usual, median(seen[1]) AS low, median(seen[3]) AS mid, median(seen[5]) AS high
    FROM shapes WHERE NOT is_recent HAVING count(*) >= 3
), apart AS (SELECT *, greatest({away}) AS distance FROM shapes, base)
SELECT format('{{}}: {{}} mostly from {{:.6g}} to {{:.6g}}, median {{:.6g}}; before from {{:.6g}} to {{:.6g}}, median {{:.6g}}',
    label, {literal(column)}, seen[1], seen[5], seen[3], low, high, mid) AS finding, label AS period, seen[3] AS median
FROM apart WHERE is_recent
    AND distance > greatest(log2({settings.values_factor!r}) + 1e-6, 1.5 * (SELECT max(distance) FROM apart WHERE NOT is_recent))
ORDER BY label"""
    return _rule(habit, "has values as before", query, (column,))


def _series(habit: Habit) -> str:
    return f"concat_ws(' at ', {', '.join(identifier(column) for column in habit.series)})"


def _level(habit: Habit, settings: HistorySettings, column: str, value: str) -> Rule:
    """A swapped currency moves all prices by one factor: the median of each row's ratio to its own item's usual value."""
    query = f"""{_window(habit, settings)}, priced AS (
    FROM {_rows(habit, f"{_series(habit)} AS series, CAST({value} AS DOUBLE) AS x")} WHERE x > 0
), usual AS (SELECT series, median(x) AS usual FROM priced WHERE NOT is_recent GROUP BY series HAVING count(*) >= 3),
shifts AS (
    SELECT period, is_recent, label, median(ln(x / usual)) AS shift FROM priced JOIN usual USING (series)
    GROUP BY ALL HAVING count(*) >= {settings.minimum_rows}
)
SELECT format('{{}}: {{}} is {{:.3g}} times what each {"/".join(habit.series)} had before', label, {literal(column)}, exp(shift)) AS finding,
    label AS period, exp(shift) AS factor
FROM shifts WHERE is_recent AND (SELECT count(*) FROM shifts WHERE NOT is_recent) >= 3
    AND abs(shift) > greatest(ln(1 + {settings.level_shift!r}), 1.5 * (SELECT max(abs(shift)) FROM shifts WHERE NOT is_recent))
ORDER BY label"""
    return _rule(habit, "keeps its level", query, (column,))


def _extreme(habit: Habit, settings: HistorySettings, column: str, value: str) -> Rule:
    """One row far beyond everything that its item had: a slipped decimal point, a wrong unit, a stray price of 0."""
    factor, is_money = settings.extreme_factor, column in habit.money
    odd = f"abs(x) > {factor} * most AND abs(x) > ordinary"
    if is_money:
        odd = f"x > {factor / 2} * most OR x < least / {factor / 2}"
    ordinary = "(SELECT quantile_cont(abs(x), 0.99) FROM valued WHERE NOT is_recent)"
    query = f"""{_window(habit, settings)}, valued AS MATERIALIZED (
    FROM {_rows(habit, f"{_series(habit)} AS series, CAST({value} AS DOUBLE) AS x")}
), usual AS (
    SELECT series, min(abs(x)) FILTER (x <> 0) AS least, max(abs(x)) AS most, {ordinary} AS ordinary
    FROM valued WHERE NOT is_recent GROUP BY series HAVING count(x) >= 5
)
SELECT unnest(r), format('{{}}: {{}} of {{}} is {{:.6g}}, from {{:.6g}} to {{:.6g}} before', label, {literal(column)}, series, x, least, most) AS finding
FROM {_rows(habit, f"r, {_series(habit)} AS series, CAST({value} AS DOUBLE) AS x")} JOIN usual USING (series)
WHERE is_recent AND ({odd}) ORDER BY label, series"""
    return _rule(habit, "has no value far beyond its item's", query, (column,))


def _mix(habit: Habit, settings: HistorySettings, column: str, value: str) -> Rule:
    """Shares of the values known before; and none may be gone that stood in every like period. New values are welcome."""
    query = f"""{_window(habit, settings)}, cells AS (
    SELECT period, weekday, is_recent, label, value, count(*) AS n
    FROM {_rows(habit, f"{value} AS value")} WHERE value IS NOT NULL GROUP BY ALL
), known AS (
    SELECT value, sum(n) / sum(sum(n)) OVER () AS usual FROM cells WHERE NOT is_recent GROUP BY value
), totals AS (
    SELECT period, weekday, is_recent, label, sum(n) AS total, sum(n) FILTER (value IN (SELECT value FROM known)) AS of_known
    FROM cells GROUP BY ALL
), steady AS (
    SELECT weekday, value, avg(n / total) AS share, min(n / total) AS least FROM cells JOIN totals USING (period, weekday, is_recent, label)
    JOIN (SELECT weekday, count(*) AS periods FROM totals WHERE NOT is_recent GROUP BY weekday HAVING count(*) >= 3) USING (weekday)
    WHERE NOT is_recent GROUP BY weekday, value, periods HAVING count(*) = periods
), gone AS (
    SELECT label, format('{{}}: no {{}} {{}}, about {{:.0f}} rows are usual', label, {literal(column)}, value, share * total) AS finding
    FROM totals JOIN steady USING (weekday) ANTI JOIN cells USING (period, value)
    WHERE is_recent AND share * total >= 10 AND least * total >= 4
), {_moved("known", "of_known")}
SELECT finding, label AS period FROM gone
UNION ALL SELECT {_moved_finding(column)} AS finding, label AS period FROM {_too_far(settings)} ORDER BY period, finding"""
    return _rule(habit, "keeps its mix of values", query, (column,))


def _hours(habit: Habit, settings: HistorySettings, column: str) -> Rule:
    """A clock in another zone shifts the hours of the day."""
    query = f"""{_window(habit, settings)}, cells AS (
    SELECT period, is_recent, label, CAST(value AS VARCHAR) AS value, count(*) AS n
    FROM {_rows(habit, f"hour({identifier(column)}) AS value")} WHERE value IS NOT NULL GROUP BY ALL
), known AS (
    SELECT value, coalesce(sum(n) FILTER (NOT is_recent) / sum(sum(n) FILTER (NOT is_recent)) OVER (), 0) AS usual
    FROM cells GROUP BY value
), totals AS (SELECT period, is_recent, label, sum(n) AS total FROM cells GROUP BY ALL
), {_moved("known", "total")}
SELECT {_moved_finding("hour of " + column)} AS finding, label AS period FROM {_too_far(settings)} ORDER BY label"""
    return _rule(habit, "keeps its hours of the day", query, (column,))


def _moved(known: str, total: str) -> str:
    """Return the CTE of how much of each period lies elsewhere: the total variation distance from the usual shares."""
    return f"""moved AS (
    SELECT is_recent, label, any_value({total}) AS n, sum(abs(coalesce(cells.n, 0) / {total} - usual)) / 2 AS distance,
        arg_max(value, abs(coalesce(cells.n, 0) / {total} - usual)) AS most_moved,
        arg_max(coalesce(cells.n, 0) / {total}, abs(coalesce(cells.n, 0) / {total} - usual)) AS its_share,
        arg_max(usual, abs(coalesce(cells.n, 0) / {total} - usual)) AS its_usual
    FROM totals CROSS JOIN {known} LEFT JOIN cells USING (period, is_recent, label, value)
    WHERE {total} > 0 GROUP BY is_recent, label, period
)"""


def _moved_finding(what: str) -> str:
    return (
        f"format('{{}}: {{:.0f}} % of rows moved between values of {{}}, most {{}}: {{:.0f}} % of rows, {{:.0f}} % before', label,"
        f" 100 * distance, {literal(what)}, most_moved, 100 * its_share, 100 * its_usual)"
    )


def _too_far(settings: HistorySettings) -> str:
    return f"""moved WHERE is_recent AND n >= {settings.minimum_rows} AND (SELECT count(*) FROM moved WHERE NOT is_recent) >= 3
    AND distance > greatest({settings.share_moved!r}, 1.5 * (SELECT max(distance) FROM moved WHERE NOT is_recent))"""
