"""Floor 4: the actors. They talk over memory channels, and never import each other.

writer         has the ledger keep what happens, and passes on what is durable
scheduler      owns the board, and says which task starts where
pool           runs attempts: attempts, those that run and what stops them; silent_models, those of
               which nothing comes any more
streams        what running tasks have generated, for their readers; no actor
timer          wakes the scheduler for what is due
hub            tells subscribers and waiters; subscription: the mailbox of one, and who wakes them
monitor        asks backends whether they are there, and what they have in memory
janitor        removes what retention no longer keeps
recorder       keeps what happened lately on disk
reads          which results were read; no actor
"""
