"""States of model versions and replicas, and what is said of them, as tables and pure functions.

The scheduler calls these between placement and the API; nothing here reads a clock, an environment or a
socket.
"""
