"""What a queue has done, and what it would have done: a trace of its traffic, and its replay.

trace      what ran, a line a task               machine   a model server, as far as time goes
rates      how fast models are, by a trace       replay    a trace again, in virtual time
orders     what decides which task is next       passed    whether one was passed over too long
figures    how long tasks waited, and the rest   agenda    virtual time
told       how right estimates of waits were     servers   which servers there are
"""
