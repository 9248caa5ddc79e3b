"""What PyInstaller asks, through an entry point of the wheel: where the hook is that packs the model as well."""

from pathlib import Path


def get_hook_dirs() -> list[str]:
    """Return the folder with `hook-mnist_serving.py`."""
    return [str(Path(__file__).parent)]
