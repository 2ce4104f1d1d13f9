"""Event streams: micro-batches of messages that land as JSON lines. What a broker has to be able to do is `broker.py`."""
