"""`stocklake match`: codes of different systems that may be one item, supplier or location, and who decides."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestration.commands.options import CompanyOption, HomeOption, JsonOption, open_company, output, say

if TYPE_CHECKING:
    from lake.matching.stewarding import Pair

KindOption = Annotated[str | None, typer.Option("--kind", help="Only item, supplier or location.")]
ByOption = Annotated[str, typer.Option(help="Who says so.")]
ReasonOption = Annotated[str, typer.Option(help="Why.")]

app = typer.Typer(
    no_args_is_help=True, help="Codes that may mean the same thing: what waits, and who decides."
)


@app.command("list")
def list_pairs(
    kind: KindOption = None,
    linked: Annotated[bool, typer.Option("--linked", help="Links in force instead of what waits.")] = False,
    history: Annotated[bool, typer.Option("--history", help="What people decided instead.")] = False,
    code: Annotated[str | None, typer.Option(help="Of --linked: only what this code is linked to.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many are shown.")] = 20,
    company: CompanyOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show pairs of codes that wait for a decision, side by side, with the evidence and what accepting does."""
    from dataclasses import asdict

    from lake.errors import InputError
    from lake.matching import stewarding
    from orchestration.match_lines import pair_lines
    from orchestration.show import table

    opened = open_company(company, home)
    if kind not in (None, "item", "supplier", "location"):
        raise InputError(f"{kind!r} is no kind of code: choose item, supplier or location.")
    if history:
        decisions = stewarding.history(opened)
        output(decisions, as_json, lambda: table(decisions[:limit], empty="Nobody has decided anything yet."))
        return
    pairs = stewarding.links(opened, kind, code) if linked else stewarding.waiting(opened, kind)
    rows: list[dict[str, Any]] = [asdict(pair) | {"accepting": pair.effect} for pair in pairs]
    output(rows, as_json, lambda: pair_lines(pairs, limit, are_links=linked))


@app.command("accept")
def accept_pair(
    pair: Annotated[str, typer.Argument(help="Id of a pair that `match list` shows.")],
    by: ByOption,
    reason: ReasonOption,
    company: CompanyOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say that the two are one thing; facts follow with the next run."""
    from uuid import uuid4

    from lake.matching import stewarding

    done = stewarding.accept(open_company(company, home), pair, by=by, reason=reason, run_id=str(uuid4()))
    _say("accepted", done, f"Accepted: {done.effect}. The next `stocklake run` follows it.", as_json=as_json)


@app.command("reject")
def reject_pair(
    pair: Annotated[str, typer.Argument(help="Id of a pair that waits, or '#12' of a link.")],
    by: ByOption,
    reason: ReasonOption,
    company: CompanyOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say that the two are not one thing; a link between them is out of force, and no rule makes it again."""
    from uuid import uuid4

    from lake.matching import stewarding

    done = stewarding.reject(open_company(company, home), pair, by=by, reason=reason, run_id=str(uuid4()))
    said = f"Rejected: {done.code} of {done.system} is not {done.target_code} of {done.target_system}."
    _say("rejected", done, f"{said} The next `stocklake run` follows it.", as_json=as_json)


@app.command("undo")
def undo_decision(
    decision: Annotated[
        str, typer.Argument(help="Number of a decision, '#12', as `match list --history` shows it.")
    ],
    by: ByOption,
    reason: ReasonOption,
    company: CompanyOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take back a decision of a person: what stood before it stands again."""
    from uuid import uuid4

    from lake.matching import stewarding

    what = stewarding.undo(open_company(company, home), decision, by=by, reason=reason, run_id=str(uuid4()))
    output({"undone": what}, as_json, lambda: [f"Undone: the {what}. The next `stocklake run` follows it."])


def _say(word: str, pair: "Pair", line: str, *, as_json: bool) -> None:
    if as_json:
        names = ("id", "kind", "system", "code", "target_system", "target_code")
        output({word: {name: getattr(pair, name) for name in names}}, True, None)
    else:
        say(line)
