"""`python -m oq.cli`: for where the `oq` script is not on the path."""

from oq.cli import main

main()
