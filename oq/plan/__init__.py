"""What a queue has done, and what it would have done: a trace of its traffic.

trace     what ran, a line a task
"""
