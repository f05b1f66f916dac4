"""What the state machine of `test_machine` is made of.

model    what the queue ought to know: a dict of tasks, and the rules in their plainest form
disk     storage that survives: in memory and in RocksDB, with power cuts at chosen moments
backend  a server whose every attempt ends as, and when, the test says
host     a trio run in a thread, so that Hypothesis' rules may be plain functions
"""
