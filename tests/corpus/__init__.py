"""Calls as data: each line of the *.jsonl files is one, made directly and through oq.

To add a case, add a line. Its fields are those of `cases.Case`. `headers.json` says which headers
of an answer are compared.
"""

import pytest

pytest.register_assert_rewrite("tests.corpus.compare")
