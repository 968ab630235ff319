"""The dashboards of the setup chart as data, and their JSON for Grafana. `tools/charts.py` writes the files."""
