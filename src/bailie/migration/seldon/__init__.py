"""The steps from Seldon Core's objects, by concern; `seldon_steps` has them in order."""
