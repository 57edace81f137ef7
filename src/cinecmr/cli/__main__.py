"""`python -m cinecmr.cli`."""

from cinecmr.cli import main

main()
