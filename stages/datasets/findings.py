"""What is wrong with a data set of somebody's own, said before anything is learned from it."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path

from stages.data import Split
from stages.datasets.listing import name_some
from stages.io import StageError

FEW = 10  # training pictures of a label, below which little can be expected of it
MANY_ALIKE = 0.1  # share of the pictures


def find_faults(train: Split, test: Split, *, paths: Sequence[Path], labels: Sequence[str]) -> Iterator[str]:
    """Yield a sentence for each thing to look at, with what to do about it.

    Args:
        train: the training pictures.
        test: the test pictures.
        paths: of the training pictures, then of the test pictures.
        labels: names of the labels.

    Raises:
        StageError: nothing can be learned, because all pictures are alike.

    """
    everything = train.join(test)
    alike = defaultdict(list)
    for row, image in enumerate(everything.images.numpy()):
        alike[sha256(image.tobytes()).digest()].append(row)
    if len(alike) == 1:
        levels = sorted(set(everything.images[0].flatten().tolist()))
        shown = f"every pixel is {levels[0]}" if len(levels) == 1 else "pixel by pixel"
        raise StageError(
            f"all {len(paths):,} pictures are alike once they are read ({shown}), so nothing can be learned: is what "
            "they show in their transparency, or too faint? Save them with dark ink on a white page"
        )
    groups = [rows for rows in alike.values() if len(rows) > 1]
    yield from _say_copies(groups, everything.labels.tolist(), paths, training=len(train.labels))
    most = max(alike.values(), key=len)
    if len(most) > max(2, MANY_ALIKE * len(paths)):
        yield f"{len(most):,} of {len(paths):,} are the same, pixel by pixel, as {paths[most[0]]}: are they blank?"
    for label, count in zip(labels, train.labels.bincount().tolist(), strict=True):
        if count < FEW:
            yield (
                f"training pictures of {label}: {count}; add some, {FEW} at least and better 100, "
                "or do not trust that answer"
            )


def _say_copies(
    groups: Sequence[list[int]], labels: Sequence[int], paths: Sequence[Path], *, training: int
) -> Iterator[str]:
    """Yield what is wrong with groups of identical pictures, as rows: those before `training` are learned from."""
    torn = [rows for rows in groups if len({labels[row] for row in rows}) > 1]
    if torn:
        example = name_some(sorted(paths[row] for row in torn[0]))
        yield f"pictures under several labels: {len(torn):,}, such as {example}; remove the wrong ones"
    leaked = [rows for rows in groups if rows[0] < training <= rows[-1]]
    if leaked:
        tested = sum(row >= training for rows in leaked for row in rows)
        example = f"{paths[leaked[0][-1]]}, the same as {paths[leaked[0][0]]}"
        yield (
            f"test pictures that are training pictures too: {tested:,}, such as {example}; the accuracy counts them as "
            "new, so remove one of each"
        )
