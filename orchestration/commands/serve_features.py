"""`stocklake serve-features`: features over HTTP."""

import logging
from typing import Annotated

import typer

from orchestration.commands.options import CompanyOption, HomeOption, open_company


def serve_features(
    company: CompanyOption = None,
    home: HomeOption = None,
    host: Annotated[
        str, typer.Option(help="Address to listen at; TLS is the task of a proxy before it.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen at.")] = 8500,
) -> None:
    """Answer Feast's POST /get-online-features until Ctrl-C or TERM.

    Who may ask stands in company.yaml (`serving`): roles, tokens, an identity provider; everybody else is refused, and every
    refusal stands in `feast/serving-audit.jsonl` of the home. /docs shows the interface, /metrics is for Prometheus.
    """
    from features.serving.app import make_app
    from lake.sources.webhooks.serving import serve

    opened = open_company(company, home)
    app = make_app(opened)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    typer.echo(f"Features of {opened.settings.title}: http://{host}:{port}/docs (Ctrl-C stops it)")
    serve(app, host, port)
