"""What all tests share: how Hypothesis runs.

`make test` runs the same examples each time, so a red run is the change's fault and nobody's luck.
`pytest --hypothesis-profile=explore` draws fresh ones, and more of them.
"""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("fixed", deadline=None, max_examples=100, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=1000, print_blob=True)
settings.load_profile("fixed")
