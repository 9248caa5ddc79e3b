"""Picture files into labels, in several processes: nearly all of the time goes into decoding and canonicalizing."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from functools import cache
from itertools import islice
from pathlib import Path

from mnist_serving import Classifier, canonicalize
from mnist_serving.images import read_grey
from table import Answer, Picture

LARGEST_FILE = 64 * 1024**2  # bytes


@cache
def classifier() -> Classifier:
    """Return the classifier, one a process."""
    return Classifier()


def label(path: Path) -> Answer:
    """Label a picture file; whatever is wrong with it is the answer's error, one line."""
    try:
        if path.is_dir():
            return Answer(error="a folder that cannot be listed")
        if path.exists() and not path.is_file():
            return Answer(error="no regular file")  # reading a pipe would wait for ever
        if path.stat().st_size > LARGEST_FILE:
            return Answer(error=f"larger than {LARGEST_FILE:,} bytes")
        prediction = classifier().predict(canonicalize(read_grey(path.read_bytes())))
    except OSError as error:
        return Answer(error=error.strerror or str(error))
    except ValueError as error:
        return Answer(error=" ".join(str(error).split()))
    abstained = "true" if prediction.abstained[0] else "false"
    return Answer(prediction.labels[0], f"{prediction.probabilities.max():.6f}", abstained)


def label_all(folder: Path, pictures: list[Picture], processes: int) -> Iterator[tuple[Picture, Answer]]:
    """Yield the answers as they come; no more pictures are under way than there are processes.

    Raises:
        BrokenProcessPool: a process was ended from outside.

    """
    left = iter(pictures)
    spawn = multiprocessing.get_context("spawn")  # a fork would copy the locks of onnxruntime's threads
    with ProcessPoolExecutor(processes, spawn, _end_with_parent) as executor:

        def submit(count: int) -> dict[Future[Answer], Picture]:
            return {executor.submit(label, folder / picture.file): picture for picture in islice(left, count)}

        with _no_interrupts():
            waiting = submit(processes)
        while waiting:
            done, _ = wait(waiting, return_when=FIRST_COMPLETED)
            waiting |= submit(len(done))
            for future in done:
                yield waiting.pop(future), future.result()


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """Put Ctrl+C off; processes that are started meanwhile never get it, because they inherit the mask."""
    came: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, _: came.append(number))  # by way of a thread without the mask
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    yield
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    signal.signal(signal.SIGINT, handler)
    if came:
        raise KeyboardInterrupt


def _end_with_parent() -> None:
    """Let this process end when the one that started it is gone, even by kill -9."""

    def watch() -> None:
        if parent := multiprocessing.parent_process():
            parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
