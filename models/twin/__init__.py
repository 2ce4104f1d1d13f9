"""The digital twin: one simulator of the whole supply chain, and what can be asked of it.

`network` describes, `layout` makes arrays, `period` is what happens within a period, `simulate` runs it; `demand` and
`events` make the paths, `scenarios` reads them from YAML; `building` makes a twin from a lake, `calibration` compares it
with the past, `answers` and `cost_to_serve` say what a scenario does. Reading the lake is not here.
"""
