"""`seldon`: the verbs, flags and output of Seldon Core v2's command line, over Bailie's own commands.

Notebooks and scripts that were written for it run as they are. Upstream's command talks to a scheduler's
port; here every verb reads and writes objects of the Kubernetes API, of which the scheduler makes the rest.
"""
