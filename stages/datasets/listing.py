"""Which files of a folder are its pictures, by label and split, and which are left out."""

from collections.abc import Iterator
from pathlib import Path

from stages.io import StageError

SPLITS = ("train", "test")
ABOUT = "dataset.json"  # in the folder, what the drawing page says of pictures that it kept
OURS = (ABOUT, ".dvc")  # ends of names that are neither pictures nor left out
SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff")  # any case
FORMATS = "PNG, JPEG, WebP, GIF, BMP or TIFF"
NAMED = 3  # files in a message


def list_pictures(root: Path) -> tuple[list[Path], int | None, list[Path]]:
    """List `root/train/<label>/*` and `root/test/<label>/*`, or `root/<label>/*`, without names that begin with a dot.

    Returns the pictures, sorted, those to learn from first; how many of them are in `train/`, if the folder is split;
    and what else is in it.

    Raises:
        StageError: a folder is missing or empty, or the two splits do not have the same labels.

    """
    if not root.is_dir():
        raise StageError(
            f"{root} is not a folder: put your pictures there, or set `download.folder.path` in params.yaml"
        )
    if not any((root / name).is_dir() for name in SPLITS):
        paths, left_out = _list_labels(root)
        return paths, None, left_out
    train, test = (_list_labels(root / name) for name in SPLITS)
    _compare_labels(root, train[0], test[0])
    beside = [path for entry in _visible(root) if entry.name not in SPLITS for path in _files(entry)]
    return train[0] + test[0], len(train[0]), [*beside, *train[1], *test[1]]


def name_some(paths: list[Path]) -> str:
    """Return the first few paths, and how many more there are."""
    more = f" and {len(paths) - NAMED:,} more" if len(paths) > NAMED else ""
    return ", ".join(map(str, paths[:NAMED])) + more


def _list_labels(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the pictures in the folders of a folder, and all other files."""
    if not folder.is_dir():
        other = SPLITS[1 - SPLITS.index(folder.name)]
        raise StageError(
            f"{folder.parent} has a folder {other}, but none that is called {folder.name}: add it, or put the labels' "
            f"folders right into {folder.parent}, and test pictures are drawn from them"
        )
    pictures, left_out = [], []
    for entry in _visible(folder):
        of_label = [path for path in _visible(entry) if path.is_file() and path.suffix.lower() in SUFFIXES]
        if entry.is_dir() and not of_label:
            raise StageError(_say_empty(entry))
        pictures += of_label
        left_out += sorted({*_files(entry)}.difference(of_label))
    if not pictures:
        if any(path.suffix.lower() in SUFFIXES for path in _visible(folder)):
            raise StageError(f"the pictures are right in {folder}: put each into its label's folder, {folder}/<label>/")
        untracked = "; an experiment sees only what is tracked: `dvc add pictures/*/`, or `git add pictures`"
        raise StageError(
            f"{folder} holds no pictures: put them into {folder}/<label>/, as {FORMATS}"
            f"{untracked if '.dvc' in Path.cwd().parts else ''}"
        )
    return pictures, left_out


def _say_empty(folder: Path) -> str:
    """Return what is wrong with a label's folder without a picture."""
    deeper = next((path for path in _files(folder) if path.suffix.lower() in SUFFIXES), None)
    if deeper:
        return (
            f"{folder} has no picture right in it, only deeper ones such as {deeper}: each label is a folder of "
            f"{folder.parent}; if the labels are the folders in {folder}, set `download.folder.path` to it"
        )
    return f"{folder} holds no picture that is {FORMATS}: put some into it, or remove it"


def _compare_labels(root: Path, train: list[Path], test: list[Path]) -> None:
    learned, tested = ({path.parent.name for path in paths} for paths in (train, test))
    for labels, lacking in ((learned - tested, "test"), (tested - learned, "train")):
        if labels:
            names = ", ".join(sorted(labels))
            raise StageError(
                f"{root / lacking} lacks {names}: put pictures of it there, or remove that label from the other split"
            )


def _visible(folder: Path) -> list[Path]:
    """Return what is in a folder, sorted, without hidden files, DVC's and `dataset.json`; nothing of a file."""
    entries = folder.iterdir() if folder.is_dir() else ()
    return sorted(path for path in entries if not path.name.startswith(".") and not path.name.endswith(OURS))


def _files(entry: Path) -> Iterator[Path]:
    """Yield a file itself, or all files below a folder."""
    if entry.is_dir():
        for path in _visible(entry):
            yield from _files(path)
    else:
        yield entry
