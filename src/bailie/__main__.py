"""`python -m bailie`, which is how pods on a laptop start it."""

from bailie.cli.main import main

main()
