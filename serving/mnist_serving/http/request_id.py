"""Names for requests: the client's, or one of ours that no other request has."""

import itertools
import re
import secrets

SOUND = re.compile(rb"[\x21-\x7e]{1,128}")  # what may be echoed in a header and written in a log


class Identities:
    """Gives out names: eight random digits for the process, then a number for the request."""

    def __init__(self) -> None:
        """Draw the random digits; after a fork, make a new one."""
        self._prefix = secrets.token_hex(4)
        self._numbers = itertools.count(1)

    def of(self, headers: dict[bytes, bytes]) -> str:
        """Return the client's `X-Request-Id` if it is sound, else a new name."""
        given = headers.get(b"x-request-id")
        if given is not None and SOUND.fullmatch(given):
            return given.decode()
        return f"{self._prefix}-{next(self._numbers):x}"
