"""Floor 6: the queue over HTTP, WebSocket and server-sent events.

serve              the process: sockets, signals, draining, and the server itself
listen             opens the listening sockets, and says why when it cannot
server             accepts connections, and limits how many there are
stopping           ends the process within a time limit, even when the disk hangs
connection         one client's connection: what Hypercorn leaves unbounded, bounded
client_stream      its bytes: each wait is bounded, and a client that leaves is noticed
http1              HTTP/1.1 and WebSocket on that connection, by h11 and wsproto
fast_path          answers calls, submits, streams and waiting reads past Hypercorn and Quart
fast_request       reads the head of a request for the fast path, strictly
fast_peer          writes the response of the fast path
peer               what a handler knows of the other end of its request, on either way
door               every request passes it: it is judged, and gets its caller
guard              who may talk to this server: Host and Origin, and the headers of every response;
                   host_names: the names by which it may be called
request            the one type of a request; request_body: reads its body
app                the Quart application, made from the table of routes
inflight           how many bytes the bodies of all requests together hold; unsent: and the long
                   answers that clients do not read
routes             the table: every path, what it takes and what it returns; route: one line of it
openapi            the same table as a document; shapes: types that say more
tasks              submitting, reading, changing tasks
bulk               one action on many tasks
content            the answer of a task as its backend sent it; byte_ranges: parts of it
models             what is done with models; cloud: what Ollama says of its cloud
files              raises the limit of open files, and fits the connections to it
streams            what a task generates, while it generates it
events             the live feed of events: WebSocket and server-sent events
streaming          responses that are sent piece by piece
ops                status, health, metrics, the first page
site               the dashboard's files; missing_dashboard: the page without them
errors             every error as a response, in one place
query              parameters after the question mark
responses          whole responses, and JSON ones
asgi               the peer of an ASGI request, which is what the ordinary way makes of one
metrics            what `/metrics` counts; task_durations: how long tasks wait and run;
                   backend_metrics: how backends are; histogram: seconds by bucket
context            what all handlers share: the queue, the metrics, the open streams
gateway            the APIs of Ollama and OpenAI
"""
