"""The process beside every inference server: fetches artifacts, drives the server, reports the loaded
models."""
