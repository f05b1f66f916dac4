"""Floor 1: what oq decides, as pure functions and structures. No I/O; the time is an argument."""
