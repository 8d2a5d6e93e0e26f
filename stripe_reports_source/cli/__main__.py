"""`python -m stripe_reports_source.cli`: the command, where its script is not installed."""

from . import main

main()
