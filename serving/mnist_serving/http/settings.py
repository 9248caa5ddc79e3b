"""The values of flags: numbers within bounds, lists; given on the command line or in an environment variable."""

import argparse
import logging
import math
import os
import re
import sys
from functools import partial
from ipaddress import ip_network
from typing import Any, NoReturn, Self

from .clients import UNIX
from .logs import configure_logs

PREFIX = "MNIST_SERVING_"
YES, NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
ORIGIN = re.compile(r"\*|null|[a-z][a-z0-9+.-]*://[^/?#\s]+")  # RFC 6454, 7: no path, not even a slash


class Setting(str):
    """The value of an environment variable; as a message quotes it, it names the variable."""

    __slots__ = ("name",)
    name: str

    def __new__(cls, name: str, value: str) -> Self:
        """Take the variable's name and its value."""
        setting = super().__new__(cls, value)
        setting.name = name
        return setting

    def __repr__(self) -> str:
        """Return the value, quoted, and where it was found."""
        return f"{str(self)!r} (in {self.name})"


class Parser(argparse.ArgumentParser):
    """Reports wrong usage in one line, which is a JSON object where the log is JSON."""

    def error(self, message: str) -> NoReturn:
        """End the program with exit code 2."""
        by_environment = os.environ.get(f"{PREFIX}LOG_JSON", "").lower() in YES
        if "serve" in sys.argv and ("--log-json" in sys.argv or by_environment):
            configure_logs(as_json=True, access=False)
            logging.getLogger("mnist_serving").error("%s", message)
            sys.exit(2)
        self.exit(2, f"{self.prog}: error: {message}; `{self.prog} --help` lists what is allowed\n")

    def parse_known_args(self, *arguments: Any) -> tuple[Any, list[str]]:  # type: ignore[override] # noqa: ANN401
        """Refuse unknown arguments here: argparse leaves a command's to the main parser, whose help lists no flags."""
        known, unknown = super().parse_known_args(*arguments)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return known, unknown


class Repeated(argparse.Action):
    """A flag that may be given several times; the first time replaces the default."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,  # noqa: ARG002 (argparse's signature)
        namespace: argparse.Namespace,
        values: Any,  # noqa: ANN401 (as above)
        option_string: str | None = None,  # noqa: ARG002
    ) -> None:
        """Add values."""
        before = getattr(namespace, self.dest)
        setattr(namespace, self.dest, values if before is self.default else before + values)


def take_environment(parser: argparse.ArgumentParser) -> None:
    """Let `MNIST_SERVING_PORT` and its like be the defaults of the flags; argparse checks them as it does flags."""
    for action in parser._actions:  # noqa: SLF001 (argparse has no other list of them)
        if not action.option_strings or action.dest == "help":
            continue
        name = PREFIX + action.option_strings[-1].lstrip("-").upper().replace("-", "_")
        tells = action.default and isinstance(action.default, (str, float, int))
        action.help = f"{action.help} (default: {action.default}; {name})" if tells else f"{action.help} ({name})"
        if action.nargs == 0:
            action.type = _yes_or_no
        value = os.environ.get(name, "")
        if value and not value.startswith("tcp://"):  # so Kubernetes sets MNIST_SERVING_PORT for a Service of this name
            action.default = Setting(name, value)


def _number(kind: type[int] | type[float], least: float, most: float, text: str) -> float:
    """Parse a number for `argparse`."""
    try:
        value = kind(text)
    except ValueError:
        value = math.nan
    if not least <= value <= most:
        raise argparse.ArgumentTypeError(
            f"must be a {'whole ' if kind is int else ''}number from {least:,} to {most:,}, not {text!r}"
        )
    return value


PORT = partial(_number, int, 0, 65_535)
COUNT = partial(_number, int, 1, 2**31)
PIXELS = partial(_number, int, 1, 178_956_970)  # Pillow opens no larger picture
SECONDS = partial(_number, float, 0, 86_400)
WAIT = partial(_number, float, 0.1, 86_400)  # seconds; a client needs some to send anything


def _yes_or_no(text: str) -> bool:
    if text.lower() not in YES + NO:
        raise argparse.ArgumentTypeError(f"must be one of {', '.join(YES + NO)}, not {text!r}")
    return text.lower() in YES


def root_path(text: str) -> str:
    """Parse the path, decoded, below which a proxy offers the service; empty or with a slash in front."""
    path = text.rstrip("/")
    if path and (not path.startswith("/") or "//" in path or any(mark in path for mark in "?#%")):
        raise argparse.ArgumentTypeError(f"must be a path such as /digits, not percent-encoded, not {text!r}")
    return path


def origins(text: str) -> tuple[str, ...]:
    """Parse origins, as browsers send them, separated by commas or spaces."""
    names = tuple(text.replace(",", " ").lower().split())
    if not names or not all(ORIGIN.fullmatch(name) for name in names):
        raise argparse.ArgumentTypeError(
            f"must be an origin such as https://example.org, without a path, or *, not {text!r}"
        )
    return names


def proxies(text: str) -> tuple[str, ...]:
    """Parse addresses and networks of proxies, separated by commas or spaces."""
    names = tuple(text.replace(",", " ").split())
    try:
        return tuple(name if name == UNIX else str(ip_network(name)) for name in names)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"must be an address, a network such as 10.0.0.0/8, or {UNIX}, not {text!r}"
        ) from error
