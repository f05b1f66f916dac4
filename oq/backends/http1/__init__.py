"""HTTP/1.1 to a backend: what a call needs of it, and no more.

    client      requests, and the connections that wait for the next
    exchange    one request and its answer
    request     what is sent, as bytes                 reading    an answer, out of bytes; no I/O
    connection  one connection, with TLS or not        errors     the two ways in which it fails
    arrivals    many connections, read by one task

It keeps no cookies, follows no redirect, asks no proxy, and has one timeout: that for a connection.
What an answer may take is bounded in `reading`; how long it may take, by who asks. To stop a call
is to close its connection, which waits for nobody.
"""
