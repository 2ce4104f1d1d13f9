"""`stocklake orders`: proposed purchase orders."""

from typing import Annotated

import typer

from orchestration.commands.options import (
    CompanyOption,
    HomeOption,
    JsonOption,
    lake_of,
    open_company,
    output,
)

app = typer.Typer(no_args_is_help=True, help="Proposed purchase orders.")


@app.command("list")
def list_orders(
    company: CompanyOption = None,
    home: HomeOption = None,
    everything: Annotated[bool, typer.Option("--all", help="Superseded proposals too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the proposed purchase orders that are open."""
    from orchestration.show import order_table
    from planning.proposals import list_proposals

    rows = list_proposals(lake_of(open_company(company, home)), include_superseded=everything)
    output(rows, as_json, lambda: order_table(rows))


@app.command("explain")
def explain_order(
    order_id: Annotated[str, typer.Argument(help="As `stocklake orders list` names it.")],
    item: Annotated[str | None, typer.Option("--item", "-i", help="Only the line of this item.")] = None,
    company: CompanyOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say why an order is proposed, down to the source files and lines."""
    from planning.explain import explain

    explanation = explain(lake_of(open_company(company, home)), order_id, item)
    output(explanation.to_dict(), as_json, explanation.lines)
