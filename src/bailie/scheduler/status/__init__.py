"""Statuses and metrics, written from the result of each pass."""
