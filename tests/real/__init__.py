"""oq in front of a real Ollama and of llama.cpp's server: `make test-ollama`, `make test-llamacpp`.

A scenario is a function that takes a `Lab` and gives rows of the table: what was measured directly,
through oq, and what is possible.
"""
