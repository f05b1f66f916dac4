"""A durable priority queue in front of LLM servers.

The house, from the ground up; imports only go down:

    words      what everything speaks: tasks, events, errors, settings, messages
    rules      what is decided, as pure functions: order, lifecycle, retry, retention
    store      RocksDB        backends   the servers that run models
    actors     writer, scheduler, retry timer, worker pool, event hub
    queue      open_queue(): the nursery, the wiring, the verbs
    http, client, cli   the faces
"""
