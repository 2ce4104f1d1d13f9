"""Between a company's twin and what learns in it: where the learned policy is kept, and how it is drawn for a terminal."""

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from lake.company import Company
from models.twin.scenarios import chosen
from orchestration.show import table
from orchestration.twins import scenarios_of, write_page

if TYPE_CHECKING:
    from models.learning.company import Lesson, Settings
    from models.learning.saved import Learned
    from models.twin.answers import Answer
    from models.twin.scenario_model import Scenario
    from models.twin.twin import Twin


def learned_path(company: Company) -> Any:
    """Return where the learned policy is kept: beside the twin."""
    return company.twin.with_name("learned.npz")


def learn_policy(
    company: Company, settings: "Settings", stress: Sequence[str], tell: Callable[[str], None]
) -> "Lesson":
    """Learn in the company's twin, and keep what came of it and the verdict (learned.npz, learned.json)."""
    from models.learning.company import learn
    from models.twin.twin import Twin

    known = scenarios_of(company)
    lesson = learn(
        Twin.load(company.twin), chosen(known, dict.fromkeys(stress or known)), known, settings, tell
    )
    lesson.learned.save(learned_path(company))
    write_page(learned_path(company).with_suffix(".json"), json.dumps(lesson_told(lesson), indent=2) + "\n")
    return lesson


def learned_for(company: Company, twin: "Twin", *, wanted: bool) -> "Learned | None":
    """Return the learned policy of the twin: the promoted one, or, where it is `wanted`, whatever there is.

    Raises `InputError` where it is wanted and missing, damaged or of another network.
    """
    from lake.errors import InputError
    from models.learning.saved import Learned

    try:
        found = Learned.load(learned_path(company))
        found.check(twin)
    except InputError:
        if wanted:
            raise
        return None
    return found if wanted or found.promoted else None


def ask_learned(
    learned: "Learned", twin: "Twin", asked: Sequence["Scenario"], known: dict[str, "Scenario"], **how: int
) -> list["Answer"]:
    """Ask the twin as `stocklake twin run` does, with the learned policy ordering."""
    from models.learning.worlds import seeing
    from models.twin.answers import RULES, ask

    return ask(twin, asked, known, player=learned.player, rules=seeing(RULES), **how)


def lesson_told(lesson: "Lesson") -> dict[str, Any]:
    """Return what was learned as plain values."""
    return {
        "release": lesson.learned.release_id,
        "classical": lesson.learned.factors.sentence,
        "trained_items": lesson.trained_items,
        "steps": lesson.steps,
        "cpu_seconds": lesson.cpu_seconds,
        **lesson.promotion.to_dict(),
        "planned": {
            name: {key: float(values.mean()) for key, values in figures.items()}
            for name, figures in lesson.planned.items()
        },
        "untrained": {
            name: {key: float(values.mean()) for key, values in figures.items()}
            for name, figures in lesson.untrained.items()
        },
        "handed_over": {name: each.to_dict() for name, each in lesson.handed_over.items()},
    }


def lesson_lines(lesson: "Lesson", company: Company, currency: str) -> list[str]:
    """Return the comparison as a table, and the verdict with its reasons."""
    rows = []
    for test in lesson.promotion.tests:
        ours, usual, change = test.candidate, test.classical, test.difference["cost"]
        rows.append(
            {
                "world": test.name,
                "as planned": f"{-lesson.planned[test.name]['cost'].mean():,.0f}",
                "tuned": f"{-usual['cost'].mean:,.0f}",
                "learned": f"{-ours['cost'].mean:,.0f}",
                "gain": f"{-change.mean:+,.0f}",
                "from": f"{-change.high:+,.0f}",
                "to (95 %)": f"{-change.low:+,.0f}",
                "untrained": f"{float((lesson.untrained[test.name]['cost']).mean()) * -1:,.0f}",
                "fill rate": f"{usual['fill_rate'].mean:.2%} > {ours['fill_rate'].mean:.2%}",
                "bullwhip": f"{usual['bullwhip'].mean:.2f} > {ours['bullwhip'].mean:.2f}",
                "handed over": f"{lesson.handed_over[test.name].share:.2%}",
            }
        )
    verdict = lesson.promotion
    title = f"Profit in {currency} on {verdict.replications} held-out replications each, tuned classical policy > learned one"
    return [
        *table(rows, title=title),
        "",
        f"The tuned classical policy: {lesson.learned.factors.sentence}.",
        "Untrained: the classical policy with items that come along when their lane is ordered on, nothing learned.",
        f"Learned on {lesson.trained_items} items in {lesson.steps} steps; CPU seconds: "
        + ", ".join(f"{name} {seconds:,.0f}" for name, seconds in lesson.cpu_seconds.items()),
        "",
        "PROMOTED: better than the tuned classical policy in every world beyond the interval"
        if verdict.promoted
        else "NOT PROMOTED: the classical policy goes on ordering",
        *(f"  {reason}" for reason in verdict.reasons),
        f"  kept in {learned_path(company)}",
    ]


def judged_lines(learned: "Learned", scenarios: Sequence[str]) -> list[str]:
    """Return what a promoted policy was judged to gain in the normal world and in scenarios, on held-out replications."""
    tests = [test for test in (learned.verdict or {})["tests"] if test["name"] in ("normal", *scenarios)]
    rows = [
        {
            "world": test["name"],
            "profit, tuned": f"{-test['classical']['cost']['mean']:,.0f}",
            "learned": f"{-test['candidate']['cost']['mean']:,.0f}",
            "gain": f"{-test['difference']['cost']['mean']:+,.0f}",
            "from": f"{-test['difference']['cost']['high']:+,.0f}",
            "to (95 %)": f"{-test['difference']['cost']['low']:+,.0f}",
        }
        for test in tests
    ]
    title = "Learned (promoted) beside tuned classical, as judged on held-out replications; --policy both asks it the same"
    return table(rows, title=title)


def beside_lines(classical: Sequence["Answer"], learned: Sequence["Answer"]) -> list[str]:
    """Return the learned policy's answers beside the classical ones."""
    rows = [
        {
            "world": before.name,
            "profit, classical": f"{before.figures['profit'].mean:,.0f}",
            "learned": f"{after.figures['profit'].mean:,.0f}",
            "gain": f"{after.figures['profit'].mean - before.figures['profit'].mean:+,.0f}",
            "fill rate, classical": f"{before.figures['fill_rate'].mean:.2%}",
            "by the learned": f"{after.figures['fill_rate'].mean:.2%}",
        }
        for before, after in zip(classical, learned, strict=True)
    ]
    return table(rows, title="The learned policy beside the twin's own levels, on the same customers")
