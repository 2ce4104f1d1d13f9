"""Webhooks: others send, and are answered 2xx only when what they sent is safe on disk.

`settings.py` is what a contract may say, `signing.py` who may send, `spool.py` where deliveries wait, `receiver.py` the
service that takes them, `serving.py` its server and limits, `source.py` how ingestion takes them from the spool.
"""
