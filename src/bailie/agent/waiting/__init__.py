"""Requests for evicted models: this replica keeps them waiting until the model is in memory again."""
