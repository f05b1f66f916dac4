"""The APIs of Ollama and OpenAI: their clients call oq instead, unchanged.

router      which requests are theirs, and who answers each
request     reads a call: its headers, its model, its priority
calls       runs a call as a task, and sends the backend's bytes to the caller
proxy       passes on requests that are not tasks; allowlist: which ones
response    sends one response, whole or piece by piece
redirects   sends on what is nearly a path of theirs
errors      sends redirects   sends on what is nearly a path of theirs
errors in the form of the API that was called
openapi     these requests in the document at /openapi.json
"""
