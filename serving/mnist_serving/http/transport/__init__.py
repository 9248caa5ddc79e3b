"""The HTTP/1.1 transport: bytes to requests, connections, draining, worker processes. It knows no model."""
