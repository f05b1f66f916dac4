"""Clients of Ollama and OpenAI that call oq instead, unchanged.

door        which requests are theirs, and where each goes
asking      a call as it comes in: its headers, its priority
serving     a call as a task: taken in, and answered with the backend's own bytes
passing     requests that are no task, for a backend to answer; known: the list of them
outgoing    an answer on its way to the client
refusing    errors, in the words of the API that was called
"""
