"""How much memory a server takes, whatever its clients do: measured in a process of its own.

talker      a backend that says very much        child       the server, and what it takes
readers     clients that read slowly, or not at all
"""
