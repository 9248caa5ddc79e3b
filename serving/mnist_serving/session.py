"""Loading a model into onnxruntime: one thread, sequential, no spinning, nothing followed outside the file."""

from pathlib import Path

import onnxruntime

from .errors import FileError, ModelError

PACKAGED_MODEL = Path(__file__).with_name("model.onnx")
LARGEST_FILE = 256 * 1024**2  # bytes


def read_model(path: Path) -> bytes:
    """Return a model file's content; one far larger than any such model is not read.

    Raises:
        FileError: it cannot be read, or is too large.

    """
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)  # its size is not asked for: devices and pipes have none
    except OSError as error:
        msg = f"{path}: {error.strerror}"
        raise FileError(msg) from error
    if len(content) > LARGEST_FILE:
        msg = f"{path} is larger than {LARGEST_FILE:,} bytes: no model of this package"
        raise FileError(msg)
    return content


def open_session(content: bytes, *, name: str, threads: int = 1, optimize: bool = True) -> onnxruntime.InferenceSession:
    """Load an ONNX model.

    Args:
        content: the file's bytes, not its path, so that a model cannot point at other files.
        name: what to call it in errors.
        threads: how many one call may use.
        optimize: let onnxruntime rewrite the graph, as it does by default.

    Raises:
        ModelError: onnxruntime does not take it for a model.

    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimize else levels.ORT_DISABLE_ALL
    options.log_severity_level = 4  # what is wrong is raised; nothing is to be printed besides
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exceptions share no other base
        reason = (str(error).splitlines() or ["no reason given"])[0]
        msg = f"{name} is no model that onnxruntime {onnxruntime.__version__} takes: {reason}"
        raise ModelError(msg) from error
