"""oq as a gateway: calls that go through it to a server of models, and what they cost.

    backend.py    the server of models behind it, which answers at once or streams at a steady rate
    load.py       the callers before it
    readings.py   processor time and memory of the processes in between
    served.py     `oq serve` of this checkout, or of another
    scenarios.py  the scenarios of `make bench --only gateway`
    trial.py      the costs of a call and of a chunk for `make bench-gate`
    peers.py, install.py, table.py    `make bench-gateways`: other gateways, beside oq

Backend and callers are loops over epoll in processes of their own: each needs some microseconds
for a call, so that what is measured is what stands between them.
"""
