"""Great Expectations suites from contracts and for the marts, run as the gate."""
