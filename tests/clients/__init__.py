"""Clients that people use, unmodified: each does the same directly and through oq, and what it gets
is compared. `make test-clients` runs them; see `__main__`.
"""
