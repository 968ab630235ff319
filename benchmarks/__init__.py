"""Measurements of what Bailie promises; see README.md in this folder."""
