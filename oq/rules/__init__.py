"""Floor 1: what oq decides, as pure functions and structures. No I/O; the time is an argument.

What is taken in:
    validation       what may become a task            limits         the bounds of what one may ask
    terms            its terms; tenants: whose it is   ollama_queue   what older clients send
    json_decoding    JSON from outside; fields: what is wrong with one; json_size: its memory;
                     surrogates: half a character
    model_names      as Ollama reads them              load_options   those that load a model again
    fingerprint      what a key stands for             ids            of tasks
    scope            what a caller may see and change
    headers          those that pass                   via            loops between servers of oq

A task's life:
    lifecycle        every step of it                  retry          when an attempt is tried again
    retention        which ended tasks go
    outbox           rows for an actor that follows the steps; outboxes: which there are
    stream_log       what it generates, as stored      slices         the same as it grows
    facts            what is known of all tasks together

Which task is next:
    board            where every live task is          policy         what a policy is
    policies         which there are: fifo, affinity   line           what they have in common
    place            where a task stands               delayed        those that wait for their time
    ready            those that may start: bands, by priority, tenant and kind; in_order, of a kind
    by_route         a search among many kinds; in_memory: where it matters what is in memory
    bypass           for how long a task was passed over
    reserve          slots that are kept free
    shares           what tenants have got; waits: what waits of them
    overflow         what goes to a higher tier        stays          what does not
    recalls          what gives way to a more urgent one
    conversations    which backend served one last

What a backend can take:
    slots            a backend, as a policy sees it
    room             what it can do with a task, and that it is busy for a moment
    fleet            all of them, by model             placing        on which one a task starts
    model_list       which models it has, and when it is asked
    residency        what is in its memory             model_limits   how many tasks of each model
    concurrency      how many at once, learnt: throughput, what it gets done; comparison, which
                     number is best; alone, who runs alone; waited_inside, who had
                     to wait; known_at_first, before any task; learnt, what is kept of it,
                     and memory_record, of what is in memory
    outages          it fails one after the other      wedges         a model produces nothing

When a task will start, and end:
    forecast         what is told of it                guesser        what is guessed of one task
    guesses          what was guessed                  calibration    how far it is to be trusted
    backlog          how much work waits               pace           how fast it is worked off
    turns            when a model gets its turn        tenant_turns   what tenants get before that
    limited_work     what limits of models mean        service_times  how long tasks take

What is shown:
    filters          which tasks, in which order       excerpt        how a task begins
    waiting          why a task waits                  shown_slots    how many at once, and why
    model_counts     tasks of each model               model_table    what is shown of each
    history          what happened lately: tallies, one interval; token_flow, tokens as they come
    backend_past     how a backend was lately          attempts_past  what ran on it

    open_files       how many there may be, and who has them
"""
