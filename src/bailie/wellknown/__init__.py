"""Facts that several packages must agree on, each written once: ports, names, variables. Pure.

A test fails where one of them is typed again elsewhere in the source.
"""
