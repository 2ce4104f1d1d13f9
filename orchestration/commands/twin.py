"""`stocklake twin`: the digital twin of a company, and what can be asked of it."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from orchestration.commands.options import CompanyOption, HomeOption, JsonOption, open_company, output, say

app = typer.Typer(
    no_args_is_help=True, help="The digital twin: build it, check it against the past, ask it what if."
)

LastGoodOption = Annotated[
    bool, typer.Option("--last-good", help="Take the last release that passed although newer data failed.")
]


@app.command("build")
def build(
    last_good: LastGoodOption = False,
    company: CompanyOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Build the twin from the newest release: places, lanes, terms, lead times, freight, demand, stock, open orders."""
    from orchestration.twins import build_twin, twin_lines

    opened = open_company(company, home)
    twin = build_twin(opened, last_good=last_good)
    told = {
        "twin": str(opened.twin),
        "release": twin.release_id,
        "as_of": twin.as_of,
        "items": len(twin.network.items),
        "places": len(twin.network.nodes),
        "lanes": len(twin.network.lanes),
        "assumed": list(twin.notes),
    }
    output(told, as_json, lambda: twin_lines(twin, opened.twin))


@app.command("scenarios")
def scenarios(company: CompanyOption = None, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """List the scenarios: those shipped, and the company's own in companies/<name>/scenarios."""
    from orchestration.show import table
    from orchestration.twins import scenarios_of

    rows = [
        {"scenario": each.name, "title": each.title}
        for each in scenarios_of(open_company(company, home)).values()
    ]
    output(rows, as_json, lambda: table(rows))


@app.command("run")
def run(  # noqa: PLR0913, PLR0917 - options of a command
    scenario: Annotated[list[str], typer.Argument(help="Names, as `stocklake twin scenarios` lists them.")],
    compare: Annotated[
        bool, typer.Option("--compare", help="One table, all scenarios side by side.")
    ] = False,
    days: Annotated[int, typer.Option(min=7, max=730, help="How long to simulate.")] = 120,
    replications: Annotated[int, typer.Option(min=2, max=1000, help="How often, with other luck.")] = 20,
    seed: Annotated[
        int, typer.Option(min=0, help="Of all random numbers; equal seeds give equal answers.")
    ] = 7,
    policy: Annotated[
        Literal["classical", "learned", "both"] | None,
        typer.Option(
            help="Who orders (default: classical, with what a promoted learned policy was judged to gain)."
        ),
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Page to write (default: twin/answers.html in the company's home).")
    ] = None,
    company: CompanyOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask the twin what a scenario does: service, stock, money, time to survive and recover, who loses most."""
    from models.twin.answers import ask
    from models.twin.page import page
    from models.twin.scenarios import chosen
    from models.twin.twin import Twin
    from orchestration.learning import ask_learned, beside_lines, judged_lines, learned_for
    from orchestration.twins import answer_lines, newer_release, scenarios_of, write_page

    opened = open_company(company, home)
    known = scenarios_of(opened)
    asked = chosen(known, dict.fromkeys(scenario))
    twin = Twin.load(opened.twin)
    newer = newer_release(opened, twin.release_id)
    if newer:
        say(
            f"stocklake: the twin is of release {twin.release_id}; {newer} is newer: `stocklake twin build`.",
            as_problem=True,
        )
    how = {"days": days, "replications": replications, "seed": seed}
    learned = None if policy == "classical" else learned_for(opened, twin, wanted=policy is not None)
    if learned and not learned.promoted:
        say("stocklake: the learned policy is not promoted; it orders here because you ask.", as_problem=True)
    if learned and learned.release_id != twin.release_id:
        say(
            f"stocklake: the learned policy is of release {learned.release_id}, the twin of {twin.release_id}: "
            "`stocklake twin learn` judges it again.",
            as_problem=True,
        )
    beside = ask_learned(learned, twin, asked, known, **how) if learned and policy else []
    answers = beside if policy == "learned" else ask(twin, asked, known, **how)
    both = bool(beside) and policy != "learned"
    told = write_page(
        html or opened.twin.with_name("answers.html"),
        page(twin, answers, days=days, replications=replications, seed=seed),
    )
    value: dict[str, Any] = {
        "release": twin.release_id,
        "days": days,
        "replications": replications,
        "seed": seed,
        "page": str(told),
        "policy": policy or "classical",
        "answers": [answer.to_dict() for answer in answers],
    }
    if both:
        value["learned"] = [answer.to_dict() for answer in beside]
    output(
        value,
        as_json,
        lambda: [
            *answer_lines(answers, compare=compare),
            *(beside_lines(answers, beside) if both else []),
            *(judged_lines(learned, scenario) if learned and not policy else []),
            "",
            f"With plots: {told}",
        ],
    )


@app.command("learn")
def learn(  # noqa: PLR0913, PLR0917 - options of a command
    seconds: Annotated[
        float, typer.Option(min=1, help="CPU seconds of learning; tuning and verdict come on top.")
    ] = 180,
    scenario: Annotated[
        list[str] | None, typer.Option(help="Stress scenarios (default: all that there are).")
    ] = None,
    days: Annotated[int, typer.Option(min=28, max=730, help="How long to simulate.")] = 120,
    replications: Annotated[
        int, typer.Option(min=8, max=1000, help="Held-out replications of each world.")
    ] = 24,
    items: Annotated[
        int | None, typer.Option(min=1, help="Learn on so many items only; judged on all.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of all random numbers.")] = 7,
    company: CompanyOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tune the classical policy, learn a better one in the twin, and promote it if it is better in every world."""
    from models.learning.company import Settings
    from orchestration.learning import learn_policy, lesson_lines, lesson_told

    opened = open_company(company, home)
    settings = Settings(seconds=seconds, days=days, held_out=replications, items=items, seed=seed)
    lesson = learn_policy(
        opened, settings, scenario or [], lambda line: say(f"stocklake: {line}", as_problem=True)
    )
    output(lesson_told(lesson), as_json, lambda: lesson_lines(lesson, opened, opened.settings.currency))


@app.command("calibrate")
def calibrate(
    days: Annotated[int, typer.Option(min=28, help="How much of the past to replay.")] = 365,
    free: Annotated[
        bool,
        typer.Option("--free", help="Let the twin order by its own levels; say what differs, judge nothing."),
    ] = False,
    last_good: LastGoodOption = False,
    company: CompanyOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Replay the past with the orders really placed: exit code 3 if the twin does not reproduce stock and service."""
    from orchestration.twins import calibrate_twin, calibration_lines, free_run_lines, run_twin_free

    if free:
        alone = run_twin_free(open_company(company, home), days, last_good=last_good)
        output(alone.to_dict(), as_json, lambda: free_run_lines(alone))
        return
    found = calibrate_twin(open_company(company, home), days, last_good=last_good)
    output(found.to_dict(), as_json, lambda: calibration_lines(found))
    raise typer.Exit(0 if found.passed else 3)
