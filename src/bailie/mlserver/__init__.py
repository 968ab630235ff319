"""Scripts for the Python of MLServer's environment, where Bailie is not installed; never imported here."""

from __future__ import annotations

from pathlib import Path

START_SCRIPT = Path(__file__).with_name("start.py")
"""Starts MLServer, in its image and on a laptop: `python start.py start FOLDER`."""
