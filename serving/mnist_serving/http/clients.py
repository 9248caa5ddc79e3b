"""Who sent a request: the other end of the connection, or whom a trusted proxy names in `X-Forwarded-For`."""

from ipaddress import ip_address, ip_network

from .transport import Request

UNIX = "unix"  # the client of a Unix socket, which has no address


class Clients:
    """The proxies that are believed, and nobody else."""

    def __init__(self, proxies: tuple[str, ...]) -> None:
        """Take addresses, networks, and `unix` for whoever uses the Unix socket."""
        self._unix = UNIX in proxies
        self._networks = [ip_network(proxy) for proxy in proxies if proxy != UNIX]

    def find(self, request: Request) -> str:
        """Return the address of the last client that no trusted proxy is."""
        client = _address(request.client) or request.client or UNIX
        hops = request.headers.get(b"x-forwarded-for", b"").decode("latin-1").split(",")
        while hops and self._trusts(client) and (hop := _address(hops.pop().strip())):
            client = hop
        return client

    def _trusts(self, client: str) -> bool:
        if client == UNIX:
            return self._unix
        return any(ip_address(client) in network for network in self._networks)


def _address(text: str) -> str:
    """Return an address as it is usually written, without a port and without IPv6 around IPv4; empty if it is none."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return ""
    return str(getattr(address, "ipv4_mapped", None) or address)
