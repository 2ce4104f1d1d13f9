"""The example company's world, day by day, and the files its systems export. Started through `generate.py`."""
