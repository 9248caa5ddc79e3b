"""Loading the model into onnxruntime: one thread, sequential, no spinning."""

from pathlib import Path

import onnxruntime

from .errors import ModelError


def open_session(model: Path, *, optimize: bool = True) -> onnxruntime.InferenceSession:
    """Load an ONNX file.

    Args:
        model: the file.
        optimize: let onnxruntime rewrite the graph, as it does by default.

    Raises:
        ModelError: the file is missing or no model that onnxruntime takes.

    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimize else levels.ORT_DISABLE_ALL
    options.log_severity_level = 4
    try:
        content = model.read_bytes()
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except OSError as error:
        msg = f"{model}: {error.strerror}"
        raise ModelError(msg) from error
    except Exception as error:  # onnxruntime's own exceptions share no other base
        reason = str(error).splitlines()[0]
        msg = f"{model} is no model that onnxruntime {onnxruntime.__version__} takes: {reason}"
        raise ModelError(msg) from error
