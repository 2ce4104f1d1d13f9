"""EDI, X12: despatch advices (856), carriers' shipment status (214) and inventory advices (846), and their 997.

pyx12 takes segments apart and checks envelopes; what a segment means stands in the tables of `tables.py`.
"""
