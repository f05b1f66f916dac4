"""What runs in the peers' own environment: each peer's jobs, and the one loop that measures them.

    marks      where a job notes that it was run; shared memory, so that noting costs nothing
    measure    the loop: enqueue, end to end, latency
    peer_*     a peer: its job, its workers' command lines, its ways to enqueue
    bullmq     the same for BullMQ, in its own language

Of oq nothing is imported but its lifeline: the peers' environments have none of what oq needs.
"""
