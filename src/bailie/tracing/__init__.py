"""Spans of Bailie's own processes (`tracer`), and their way to a collector (`exporter`).

The processes of a namespace learn the collector while they run: the scheduler from the SeldonRuntime's
status, agents and pipeline gateways from the scheduler. Without a collector nothing is made.
"""
