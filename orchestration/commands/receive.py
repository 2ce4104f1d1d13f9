"""`stocklake receive`: take webhooks."""

import logging
from typing import Annotated

import typer

from orchestration.commands.options import CompanyOption, HomeOption, open_company


def receive(
    company: CompanyOption = None,
    home: HomeOption = None,
    host: Annotated[
        str, typer.Option(help="Address to listen at; TLS is the task of a proxy before it.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen at.")] = 8400,
) -> None:
    """Take webhooks at /hooks/DATASET until Ctrl-C or TERM; `stocklake ingest` loads what came.

    Every contract of kind `webhook` is one dataset. A sender gets 200 when its delivery is safe on disk, 401 for a wrong
    signature or time, 409 for an id that came before with other content, 503 when the disk or the spool is full.
    """
    from lake.contracts.reading import load_contracts
    from lake.sources.webhooks.receiver import make_app
    from lake.sources.webhooks.serving import serve

    opened = open_company(company, home)
    app = make_app(opened, load_contracts(opened))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    typer.echo(f"Webhooks of {opened.settings.title}: http://{host}:{port}/hooks/DATASET (Ctrl-C stops it)")
    serve(app, host, port)
