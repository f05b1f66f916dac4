"""Drop-in: clients made for Ollama and OpenAI, unchanged, straight to a server and through oq.

ways      how a client reaches the model: directly, or through `oq serve`
callers   the official clients, blocking and asynchronous alike
bodies    request bodies as any client might send them
"""
