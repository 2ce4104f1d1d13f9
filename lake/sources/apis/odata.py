"""Kind `odata`: an entity set of an OData v4 service (SAP, Dynamics), as settings of `rest`."""

from dataclasses import replace
from typing import Any

from lake.company import Company
from lake.contracts.model import Contract
from lake.period import Period
from lake.sources.apis.rest import RestSource
from lake.sources.apis.settings import ODataSettings, RestSettings
from lake.sources.ranges import bounds, day_column

MEDIA_TYPE = "application/json;odata.metadata=none"


class ODataSource(RestSource):
    """One entity set, open."""

    def __init__(self, company: Company, contract: Contract) -> None:
        """Open the client. Raises `InputError` for a secret that is not there."""
        assert isinstance(contract.source, ODataSettings)
        headers = {"OData-Version": "4.0", "OData-MaxVersion": "4.01", "Accept": MEDIA_TYPE}
        if preferences := _preferences(contract.source):
            headers["Prefer"] = preferences
        self.odata = contract.source
        super().__init__(company, replace(contract, source=as_rest(contract.source, contract)), headers)

    def _of_days(self, period: Period) -> dict[str, str]:
        """Return a filter by the business date, or by the column that grows."""
        incremental = self.odata.incremental
        grows = self.contract.column(incremental.column).source_name if incremental else None
        column = day_column(self.contract, grows)
        time = "" if column.type == "date" else "T00:00:00Z"
        conditions = [f"({self.odata.filter})"] if self.odata.filter else []
        conditions += [
            f"{_path(self.contract, column.name)} {sign} {day}{time}"
            for sign, day in zip(("ge", "lt"), bounds(period), strict=True)
            if day is not None
        ]
        return {"$filter": " and ".join(conditions)}


def as_rest(settings: ODataSettings, contract: Contract) -> RestSettings:
    """Return the settings by which a REST client reads the entity set."""
    shared = {name: getattr(settings, name) for name in ("url", "headers", "auth", "limits", "ca_file")}
    client_pages = {
        "kind": "offset", "parameter": "$skip", "size_parameter": "$top", "size": settings.page_size,
    }  # fmt: skip
    return RestSettings.model_validate(
        shared
        | {
            "kind": "rest",
            "parameters": settings.parameters | _query(settings, contract),
            "paging": client_pages
            if settings.paging == "client"
            else {"kind": "next_url", "path": "@odata.nextLink"},
            "total_path": "@odata.count" if settings.count and not settings.delta else None,
            "resume": settings.delta,
            "resume_path": "@odata.deltaLink" if settings.delta else None,
            "incremental": _incremental(settings, contract),
        }
    )


def _incremental(settings: ODataSettings, contract: Contract) -> dict[str, Any] | None:
    """Return the filter by a column that grows; equal values are read again, because others may share them."""
    if settings.incremental is None:
        return None
    newer = f"{_path(contract, settings.incremental.column)} ge {{since}}"
    return settings.incremental.model_dump() | {
        "parameter": "$filter",
        "template": f"({settings.filter}) and {newer}" if settings.filter else newer,
        "ascending": settings.orderby is None,
    }


def _query(settings: ODataSettings, contract: Contract) -> dict[str, str]:
    """Return the system query options: what to select, in which order, whether to count."""
    order = settings.orderby
    if order is None and settings.incremental:
        order = _path(contract, settings.incremental.column)
    if order is None and settings.paging == "client":
        order = ",".join(_path(contract, name) for name in contract.keys)
    columns = dict.fromkeys(column.source_name.split(".")[0] for column in contract.columns)
    options = {
        "$select": ",".join(columns) if settings.select else None,
        "$filter": settings.filter,
        "$orderby": order,
        "$count": "true" if settings.count and not settings.delta else None,
    }
    return {name: value for name, value in options.items() if value}


def _path(contract: Contract, name: str) -> str:
    """Return a column as OData names it."""
    return contract.column(name).source_name.replace(".", "/")


def _preferences(settings: ODataSettings) -> str:
    size = [f"odata.maxpagesize={settings.page_size}"] if settings.paging == "server" else []
    return ", ".join([*size, *(["odata.track-changes"] if settings.delta else [])])
