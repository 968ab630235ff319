"""Moves a namespace to a scheduler of its own: facts, findings and steps, pure; reading and writing apart."""
