"""Bailie: a model-serving control plane for Kubernetes."""

__version__ = "0.1.0"
