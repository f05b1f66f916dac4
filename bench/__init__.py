"""oq, measured: `python -m bench` runs every scenario in turns and prints figures and budgets."""
