"""Every dashboard of the setup chart."""

from __future__ import annotations

from dashboards.control_plane import CONTROL_PLANE
from dashboards.experiment import EXPERIMENT
from dashboards.model import MODEL
from dashboards.namespace import NAMESPACE
from dashboards.pipeline import PIPELINE
from dashboards.server import SERVER

BOARDS = (NAMESPACE, MODEL, SERVER, EXPERIMENT, PIPELINE, CONTROL_PLANE)
