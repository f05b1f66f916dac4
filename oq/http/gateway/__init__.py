"""The APIs of Ollama and OpenAI: their clients call oq instead, unchanged.

router           which requests are theirs, and who answers each
exchange         what all who answer have around them: the body, the caller who may leave, errors
request          reads a call: its headers, its model, its priority
calls            runs a call as a task, and sends the backend's bytes to the caller
background       responses in the background: a call that goes on without its caller
kept_responses   the calls for such a response, by its id; response_stream: its events
proxy            passes on requests that are not tasks; allowlist: which ones
response         sends one response, whole or piece by piece, and which headers say a call's place
                 in line; locations: which Locations pass
redirects        sends on what is nearly a path of theirs
errors           sends errors in the form of the API that was called
openapi          these requests in the document at /openapi.json; background_routes: those by an id
"""
