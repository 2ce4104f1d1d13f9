"""Every error that Stocklake raises on purpose, and the exit code the CLI gives it.

    StocklakeError                1  something failed that is not the user's input
    ├── LakeBusy                  1  another writer holds the lake longer than the time limit
    ├── SourceFailed              1  a database, API or stream that cannot be reached or answers wrongly
    ├── StillArriving             1  a file that changes while it is read: it is left for the next time
    ├── InputError                2  bad input: what, where, what to do
    │   ├── CompanyError             unknown company, or a company.yaml with an error
    │   ├── HomeError                the home folder cannot be made or written
    │   ├── ContractError            a contract that does not lint
    │   └── FileRefused              a delivered file that was refused whole (its good neighbours load)
    ├── GateFailed                3  data failed its gate: nothing downstream may run
    ├── GateNotRun                4  a check could not run: nobody knows whether the data is good
    └── NoRelease                 3  nothing has passed a gate yet

A message is one sentence that a stranger can act on: what was wrong, where, what to do.
"""


class StocklakeError(Exception):
    """Root of the tree; `exit_code` is what the command line returns."""

    exit_code = 1


class LakeBusy(StocklakeError):
    """Another process holds the writer lock of the lake."""


class SourceFailed(StocklakeError):
    """A source that is fetched cannot be reached, or does not answer as agreed; what it brought before stands."""


class StillArriving(StocklakeError):
    """A file is still being written: nothing is wrong with it, and the next ingest takes it."""


class InputError(StocklakeError):
    """Input that a person has to correct."""

    exit_code = 2


class CompanyError(InputError):
    """Unknown company, or a company.yaml that cannot be used."""


class HomeError(InputError):
    """The home folder cannot be made or written."""


class ContractError(InputError):
    """A contract with an error."""


class FileRefused(InputError):
    """A delivered file refused whole: it adds no rows, only a ledger entry."""


class GateFailed(StocklakeError):
    """A stop gate failed: nothing downstream may run until it passes."""

    exit_code = 3


class GateNotRun(StocklakeError):
    """A check of the gate could not run and none failed: that says nothing about the data."""

    exit_code = 4


class NoRelease(StocklakeError):
    """No release exists: run the pipeline up to the gate first."""

    exit_code = 3
