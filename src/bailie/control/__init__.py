"""One namespace's pass, pure: from facts to commands, routes and statuses.

The scheduler hands in the present time and, as ports, the agents and the data plane; its loop writes the
notices of a pass into the log. Nothing here reads a clock, an environment or a socket.
"""
