"""States of model versions and their copies, and the words about them, as tables and pure functions.

The scheduler calls these between placement and the API; nothing here reads a clock, an environment or a
socket.
"""
