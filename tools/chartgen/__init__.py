"""What of the charts is generated: values with their schema and tables, rules. Used by `tools/charts.py`."""
