"""Request ids: the client's `X-Request-Id`, or a new one that no other request has."""

import itertools
import re
import secrets

VALID = re.compile(rb"[\x21-\x7e]{1,128}")  # what may be echoed in a header and written to a log


class RequestIds:
    """Gives out ids: eight random digits for the process, then a number for the request."""

    def __init__(self) -> None:
        """Draw the random digits; after a fork, make a new object."""
        self._prefix = secrets.token_hex(4)
        self._numbers = itertools.count(1)

    def pick(self, headers: dict[bytes, bytes]) -> str:
        """Return the client's `X-Request-Id` if it is valid, otherwise a new id."""
        given = headers.get(b"x-request-id")
        if given is not None and VALID.fullmatch(given):
            return given.decode()
        return f"{self._prefix}-{next(self._numbers):x}"
