"""Opening workbooks (xls, xlsx, xlsm, xlsb, ods): their sheets, values, and what calamine does not tell of a cell.

Not here: what a contract makes of a sheet (`lake/sources/spreadsheets.py`).
"""
