"""How processes are told what to do: environment variables as fields of dataclasses. Pure."""
