"""Monitoring with Prometheus as values: the endpoints to read, the series to compute, the alerts. Pure."""
