"""Whether a table's changes are in the log at all: server setting, replica identity, publication. Makes the publication."""

from dataclasses import dataclass
from functools import cached_property

from lake.contracts.model import Contract
from lake.errors import SourceFailed
from lake.sources.databases.relations import table_sql
from lake.sources.databases.replication import Slot
from lake.sources.databases.settings import CdcSettings

_TABLE = """
SELECT n.nspname, c.relname, c.relreplident::text, array(
    SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND (
        c.relreplident = 'f' OR a.attnum = ANY (
            SELECT unnest(i.indkey::int2[]) FROM pg_index i WHERE i.indrelid = c.oid
            AND CASE c.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident END
        )
    )
)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass(%s)
"""


@dataclass(frozen=True)
class Published:
    """A table and its publication, as the server has them."""

    slot: Slot
    contract: Contract
    settings: CdcSettings

    @cached_property
    def table(self) -> tuple[str, str]:
        """(schema, name) of the table; `SourceFailed` if it is not there or the log cannot say which row was deleted."""
        with self.slot.control() as run:
            (level,) = run("SHOW wal_level")[0]
            rows = run(_TABLE, table_sql(self.slot.database, self.settings.table))
        place = self.slot.database.place
        if level != "logical":
            raise SourceFailed(
                f"The change log of {place} is off (wal_level {level}): have a DBA run ALTER SYSTEM SET wal_level ="
                " 'logical' and restart the server."
            )
        if not rows:
            raise SourceFailed(
                f"There is no table {self.settings.table} in {place}: correct `table`, or make it."
            )
        schema, name, identity, columns = rows[0]
        keys = [self.contract.column(key).source_name for key in self.contract.keys]
        if missing := [key for key in keys if key not in columns]:
            raise SourceFailed(
                f"The change log of {place} does not say which row of {self.settings.table} was changed by"
                f" {', '.join(missing)} (replica identity {identity!r}): run ALTER TABLE {schema}.{name} REPLICA IDENTITY"
                " FULL, or mark the primary key as key in the contract."
            )
        return schema, name

    @cached_property
    def is_there(self) -> bool:
        """Whether the publication has the table."""
        schema, name = self.table
        with self.slot.control() as run:
            return bool(
                run(
                    "SELECT 1 FROM pg_publication_tables WHERE pubname = %s AND schemaname = %s AND tablename = %s",
                    self.slot.publication,
                    schema,
                    name,
                )
            )

    def ensure(self) -> None:
        """Make the publication, or add the table to it, where the contract allows; else `SourceFailed`."""
        if self.is_there:
            return
        database, publication = self.slot.database, self.slot.publication
        table = table_sql(database, ".".join(self.table))
        create = f"CREATE PUBLICATION {database.quote(publication)} FOR TABLE {table} WITH (publish_via_partition_root = true)"
        if not self.settings.create:
            raise SourceFailed(
                f"The publication {publication} in {database.place} does not have the table {self.settings.table}: have a"
                f" DBA run {create}, or set `create: true`."
            )
        with self.slot.control() as run:
            if run("SELECT 1 FROM pg_publication WHERE pubname = %s", publication):
                run(f"ALTER PUBLICATION {database.quote(publication)} ADD TABLE {table}")
            else:
                run(create)
