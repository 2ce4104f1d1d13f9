"""What Feast asks of an online store's writer, for stores that write by columns."""

from abc import abstractmethod
from collections.abc import Callable
from datetime import datetime
from typing import Any

from feast import FeatureView, RepoConfig

from features.stores.online_format import Batch, batches_of_protos


class WrittenByColumns:
    """Feast's rows are made batches of columns; a store says how it writes one (`put`)."""

    @abstractmethod
    def put(self, config: RepoConfig, view: FeatureView, batch: Batch) -> int:
        """Write a batch and return how many rows were not older than what stood."""

    def online_write_batch(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: list[tuple[Any, dict[str, Any], datetime, datetime | None]],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Write rows as Feast passes them; older ones than those that stand are left out."""
        for batch in batches_of_protos(table, data):
            self.put(config, table, batch)
        if progress:
            progress(len(data))
