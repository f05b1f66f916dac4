"""What the tests that break things are made of.

serving    a real `oq serve` in a child        crowd      clients that submit while it is killed
power      disks as a power cut leaves them    load       a queue at work on such a disk
ledger     what was promised, and whether it was kept
chance     seeds that a failing test names
"""
