"""Fault isolation between the namespaces of an installation, measured on the installation itself."""
