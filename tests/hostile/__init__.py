"""Hostile clients, drawn from a fixed seed: the server answers others all the while.

drawn       requests and frames that nobody with good intentions sends
world       the server, a backend that tells its key, and a server that nobody may reach
"""
