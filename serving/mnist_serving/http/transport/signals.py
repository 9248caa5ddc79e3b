"""The signals that end the server."""

import signal


def stop_signals() -> list[signal.Signals]:
    """Return them; SIGHUP, of a terminal that is closed, only where `nohup` has not said to ignore it."""
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return [signal.SIGTERM, signal.SIGINT, *([] if ignored else [signal.SIGHUP])]
