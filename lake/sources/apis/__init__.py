"""Web APIs: REST and OData, page by page, each page landing as it was received.

`settings.py` is what a contract may say, `client.py` one request until it is answered well, `paging.py` which request
comes next, `fetching.py` all pages of one fetch and whether they agree, `rest.py` the source itself. OData (`odata.py`)
is a way to write the settings of REST. What a record means is no business of this package: that is the reader's.
"""
