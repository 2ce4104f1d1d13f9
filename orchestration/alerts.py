"""Who is told when a run, gate, sensor or schedule fails: a webhook, an e-mail, and always the log."""

import json
import logging
import smtplib
import urllib.request
from collections.abc import Callable
from email.message import EmailMessage

from lake.company import Company

LOG = logging.getLogger("stocklake.alerts")
_TIMEOUT_S = 10


def alert(company: Company, subject: str, detail: str) -> list[str]:
    """Tell of a failure everywhere company.yaml says (`alerts`), and return the channels that took it.

    An alert that cannot be delivered is logged and never raises: it must not hide the failure that it tells of.
    """
    LOG.error("%s: %s: %s", company.name, subject, detail)
    return ["log", *send(company, subject, detail)]


def send(company: Company, subject: str, detail: str) -> list[str]:
    """Do the same without the log, for a failure that is on the screen already."""
    channels: list[str] = []
    settings = company.settings.alerts
    if settings.webhook_url:
        channels += _attempt(
            "webhook", lambda: _post(settings.webhook_url or "", company.name, subject, detail)
        )
    if settings.email_to and settings.smtp_host:
        channels += _attempt("email", lambda: _mail(company, subject, detail))
    return channels


def _attempt(channel: str, deliver: Callable[[], None]) -> list[str]:
    try:
        deliver()
    except (OSError, ValueError, smtplib.SMTPException) as error:
        LOG.error("The alert could not be delivered by %s: %s", channel, error)
        return []
    return [channel]


def _post(url: str, company: str, subject: str, detail: str) -> None:
    body = json.dumps({"company": company, "subject": subject, "text": f"{subject}\n{detail}"}).encode()
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S):
        pass


def _mail(company: Company, subject: str, detail: str) -> None:
    settings = company.settings.alerts
    host, _, port = (settings.smtp_host or "").partition(":")
    message = EmailMessage()
    message["From"] = settings.email_to
    message["To"] = settings.email_to
    message["Subject"] = f"Stocklake, {company.name}: {subject}"
    message.set_content(detail)
    with smtplib.SMTP(host, int(port or 25), timeout=_TIMEOUT_S) as server:
        server.send_message(message)
