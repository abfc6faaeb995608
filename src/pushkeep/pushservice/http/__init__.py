"""The HTTP connection layer: TLS with ALPN, HTTP/2 and HTTP/1.1 on sans-I/O libraries.

It is our own, and small, because a test service must be able to misbehave on purpose at the level of frames,
which finished servers do not allow.
"""
