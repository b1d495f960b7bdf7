"""`python -m etracee`."""

from etracee.cli import main

main()
