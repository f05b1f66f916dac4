"""What the tests that break things are made of.

chance       seeds that a failing test names
serving      a real `oq serve` in a child       crowd        clients that submit while it is killed
kills        what is left when it was killed
power        disks as a power cut leaves them   load         a queue at work on such a disk
chain        power cuts, one after another      flips        what one flipped bit has done
ledger       what was promised, and whether it was kept
integrity    whether a store agrees with itself
damage       what can happen to files           small_disk   a disk that can be filled
torture      all of it, for a quarter of an hour: `make torture`
gate         a backend that answers when it is told to
"""
