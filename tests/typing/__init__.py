"""Programs as users write them. Nothing runs them: mypy reads them, in `make lint`.

Each file uses every public verb of one face of oq, with names from `oq` only, and says the type of
what it gets. `tests/project/test_typing.py` finds the verbs that are missing here.
"""
