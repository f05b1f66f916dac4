"""Which modules a task, a call, a token and an event pass through.

    python -m bench.ways [CHECKOUT]

An oq of any commit is started in front of a server made here, each way is gone once to warm up, and
then once while its process notes which functions of oq run. So two commits are counted by one rule.
Three numbers of each way are told:

modules     modules of oq that have a function which runs
passing     of these, the ones that call a function of another module: they hand the thing on, and
            whoever follows the way reads them; the others are called, answer, and lead nowhere
crossings   pairs of modules of which one calls the other

A call goes a task's way, and an event is told of something that happens, such as a cancel. So what
those two have beside it is told too.
"""
