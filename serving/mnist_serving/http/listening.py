"""The sockets that the service listens on: of a host's every address, or a Unix socket."""

import errno
import ipaddress
import os
import resource
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mnist_serving.errors import MnistServingError

LOCALHOST = ("127.0.0.1", "::1")  # RFC 6761, 6.3, whatever the machine's table of hosts says
ABSENT = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)  # a machine without this address, or without IPv6
OWN_FILES = 32  # descriptors that a process needs besides those of connections


class ListenError(MnistServingError):
    """The service cannot listen where it should."""


@contextmanager
def listening(host: str, port: int, path: Path | None) -> Iterator[list[socket.socket]]:
    """Listen on a host's port, or at a path; afterwards close, and remove what was made at the path.

    Raises:
        ListenError: the service cannot listen there.

    """
    sockets = [listen_at(path)] if path else listen(host, port)
    made = path.stat() if path else None
    try:
        yield sockets
    finally:
        close(sockets)
        if path and made and path.exists() and os.path.samestat(path.stat(), made):  # it may be another program's now
            path.unlink()


def listen(host: str, port: int) -> list[socket.socket]:
    """Return a listening socket for each address of a host, all of one port; that of `::` takes IPv4 too.

    Raises:
        ListenError: the host is not valid or not this machine, or the port is taken.

    """
    sockets: list[socket.socket] = []
    absent: OSError | None = None
    try:
        for family, address in _addresses(host, port):
            taken = sockets[0].getsockname()[1] if sockets else port  # port 0 is a free one, for the first
            both = address == "::" and socket.has_dualstack_ipv6()
            try:
                sockets.append(socket.create_server((address, taken), family=family, dualstack_ipv6=both))
            except OSError as error:
                if error.errno not in ABSENT:
                    raise
                absent = error
        if absent and not sockets:
            raise absent
    except (UnicodeError, OSError) as error:
        close(sockets)
        raise ListenError(_what_is_wrong(error, host, port)) from error
    return sockets


def _addresses(host: str, port: int) -> list[tuple[socket.AddressFamily, str]]:
    """Return a host's addresses, each once."""
    found = [
        (entry[0], str(entry[4][0]))
        for name in (LOCALHOST if host == "localhost" else (host,))
        for entry in socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    ]
    return list(dict.fromkeys(found))


def _what_is_wrong(error: UnicodeError | OSError, host: str, port: int) -> str:
    if isinstance(error, UnicodeError):
        return f"{host!r} is not a valid host name; choose another with --host"
    if error.errno == errno.EADDRINUSE:
        return f"port {port} of {host} is taken; choose another with --port"
    return f"cannot listen on {host!r} port {port}: {error.strerror or error}; choose others with --host and --port"


def listen_at(path: Path) -> socket.socket:
    """Return a listening Unix socket; one that a server left behind there is replaced.

    Like a port, it is open to every user of the machine who can reach its folder.

    Raises:
        ListenError: the path is taken, too long, or in no folder that can be written to.

    """
    listener = socket.socket(socket.AF_UNIX)
    try:
        if path.exists() and stat.S_ISSOCK(path.stat().st_mode) and not _answers(path):
            path.unlink()
        listener.bind(str(path))
        path.chmod(0o666)
        listener.listen()
    except OSError as error:
        listener.close()
        reason = "it is taken" if error.errno == errno.EADDRINUSE else error.strerror or error
        raise ListenError(f"cannot listen on {path}: {reason}; choose another path with --uds") from error
    return listener


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


def close(sockets: list[socket.socket]) -> None:
    """Close sockets."""
    for listener in sockets:
        listener.close()


def describe(listener: socket.socket) -> str:
    """Return the URL of a socket, or `unix:` and its path."""
    if listener.family == socket.AF_UNIX:
        return f"unix:{listener.getsockname()}"
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def is_open(listener: socket.socket) -> bool:
    """Return whether other machines may reach a socket."""
    if listener.family == socket.AF_UNIX:
        return False
    return not ipaddress.ip_address(listener.getsockname()[0].partition("%")[0]).is_loopback


def fit_connections(wanted: int) -> int:
    """Return how many connections the process may have open, at most those wanted.

    Its limit of open files is raised as far as it may be. A quarter is left for clients beyond, who are told so.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = OWN_FILES + wanted * 4 // 3 + 1
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return wanted if soft == resource.RLIM_INFINITY else max(1, min(wanted, (soft - OWN_FILES) * 3 // 4))
