"""The service itself: a request in, a reply or a job for the model out. It knows no sockets and never waits."""

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import unquote

from .compression import compress, decompress
from .http_types import JSON, Answers, HttpError, Images, Job, Request, Response, error_response, json_response
from .infer_reply import BINARY, MODEL_NAME, MODEL_VERSION, render_infer_reply
from .infer_request import INPUT, SERVED_OUTPUTS, read_infer_request
from .limits import Limits
from .logs import ACCESS
from .metrics import CONTENT_TYPE as PROMETHEUS
from .metrics import Metrics
from .openapi import describe_api
from .pages import Page, drawing_page, reference_page
from .predict import (
    PICTURES,
    describe_model,
    read_picture_request,
    read_predict_request,
    read_seen,
    render_predictions,
)
from .request_id import Identities

if TYPE_CHECKING:
    from mnist_serving.classifier import Classifier

logger = logging.getLogger("mnist_serving.http")
access = logging.getLogger(ACCESS)
Handler = Callable[[Request], Response | Job]

RETRY = {"Retry-After": "1"}
UNKNOWN: tuple[str, dict[str, Handler]] = ("other", {})  # the call that is none
OUR_ERROR = HttpError(500, "an error of the server; its log says more")
MODEL = "/v2/models/{model}"


class Service:
    """Answers requests with one classifier; `open` makes it ready, `close` unready again."""

    def __init__(self, limits: Limits | None = None) -> None:
        """Make a service that is alive but not ready."""
        from mnist_serving import __version__

        self.limits = limits or Limits()
        self.metrics = Metrics()
        self.identities = Identities()
        self.version = __version__
        self._classifier: Classifier | None = None
        self._closing = False
        self._drawing = drawing_page()
        self._described: bytes  # by `open`, for the model's shapes stand in both
        self._reference: Page
        self._calls = self._list_calls()

    def open(self, classifier: "Classifier") -> None:
        """Become ready; a classifier has answered its golden examples when it is constructed."""
        described = describe_api(classifier.contract, self.limits, version=self.version)
        self._described = json_response(described).body
        self._reference = reference_page(described)
        self.metrics.describe_model(classifier, name=MODEL_NAME, version=MODEL_VERSION)
        self._classifier = classifier

    def close(self) -> None:
        """Say from now on that the service is not ready; requests that still come are answered."""
        self._closing = True

    @property
    def ready(self) -> bool:
        """Whether requests should be sent here."""
        return self._classifier is not None and not self._closing

    def answer(self, request: Request) -> Response | Job:
        """Return the reply to a request, or the job whose answers `complete` makes into the reply."""
        call, handlers = self._calls.get(request.path) or self._calls.get(_plain(request.path)) or UNKNOWN
        try:
            outcome = _choose(request, handlers)(request)
        except HttpError as error:
            outcome = error_response(error)
        except Exception:
            logger.exception("request %s failed", request.identity)
            outcome = error_response(OUR_ERROR)
        outcome.call = call
        return self._finish(request, outcome) if isinstance(outcome, Response) else outcome

    def complete(self, request: Request, job: Job, answers: Answers | None) -> Response:
        """Return the reply to a request whose job is done; an error of ours where the model failed."""
        response = error_response(OUR_ERROR) if answers is None else job.reply(answers)
        response.call = job.call
        return self._finish(request, response)

    def predict(self, images: Images) -> Answers | None:
        """Run the model on images, uint8 [N,C,H,W], of one request or of several; None where it failed."""
        try:
            prediction = self._loaded().predict(images)
        except Exception:
            logger.exception("the model failed on %s images", len(images))
            return None
        self.metrics.count_images(len(images), int(prediction.abstained.sum()))
        return Answers(list(prediction.labels), prediction.probabilities, prediction.logits, prediction.abstained)

    def too_busy(self) -> HttpError:
        """Return the refusal of a request beyond those that may be in flight."""
        return HttpError(503, f"{self.limits.in_flight:,} requests are in flight already", RETRY)

    def is_slow(self, request: Request) -> bool:
        """Return whether `answer` takes milliseconds, so that a server should call it in a thread."""
        return request.refusal is None and _media_type(request) in PICTURES

    def _finish(self, request: Request, response: Response) -> Response:
        """Compress a reply, name it, count it."""
        compress(request, response)
        response.headers["X-Request-Id"] = request.identity
        seconds = time.perf_counter() - request.started
        self.metrics.count_request(response.call, response.status, seconds)
        if access.isEnabledFor(logging.INFO):
            _log_access(request, response, seconds)
        return response

    def _list_calls(self) -> dict[str, tuple[str, dict[str, Handler]]]:
        """Return, by path, a call's name in the metrics and its handlers by method."""
        model: dict[str, dict[str, Handler]] = {
            "": {"GET": self._model_metadata},
            "/ready": {"GET": self._model_ready},
            "/infer": {"POST": self._infer},
        }
        calls: dict[str, tuple[str, dict[str, Handler]]] = {
            "/": ("/", {"GET": self._draw}),
            "/predict": ("/predict", {"POST": self._predict}),
            "/model": ("/model", {"GET": self._model}),
            "/metrics": ("/metrics", {"GET": self._metrics}),
            "/openapi.json": ("/openapi.json", {"GET": self._openapi}),
            "/docs": ("/docs", {"GET": self._docs}),
            "/v2": ("/v2", {"GET": self._server_metadata}),
            "/v2/": ("/v2", {"GET": self._server_metadata}),
            "/v2/health/live": ("/v2/health/live", {"GET": self._live}),
            "/v2/health/ready": ("/v2/health/ready", {"GET": self._ready}),
        }
        for end, handlers in model.items():
            for version in ("", f"/versions/{MODEL_VERSION}"):
                calls[f"/v2/models/{MODEL_NAME}{version}{end}"] = (MODEL + end, handlers)
        return calls

    def _draw(self, _: Request) -> Response:
        return self._drawing.response()

    def _docs(self, _: Request) -> Response:
        self._loaded()
        return self._reference.response()

    def _model(self, _: Request) -> Response:
        return json_response(describe_model(self._loaded()))

    def _openapi(self, _: Request) -> Response:
        self._loaded()
        return Response(200, self._described)

    def _metrics(self, _: Request) -> Response:
        return Response(200, self.metrics.render(), PROMETHEUS)

    def _live(self, _: Request) -> Response:
        return json_response({"live": True, "ready": self.ready})

    def _ready(self, _: Request) -> Response:
        self._check_ready()
        return json_response({"live": True, "ready": True})

    def _model_ready(self, _: Request) -> Response:
        self._check_ready()
        return json_response({"name": MODEL_NAME, "ready": True})

    def _server_metadata(self, _: Request) -> Response:
        return json_response(
            {"name": "mnist-serving", "version": self.version, "extensions": ["binary_tensor_data", "classification"]}
        )

    def _model_metadata(self, _: Request) -> Response:
        contract = self._loaded().contract
        outputs = [{"name": name, "datatype": "FP32", "shape": [-1, len(contract.labels)]} for name in SERVED_OUTPUTS]
        return json_response(
            {
                "name": MODEL_NAME,
                "versions": [MODEL_VERSION],
                "platform": "onnx_onnxv1",
                "inputs": [{"name": INPUT, "datatype": "UINT8", "shape": [-1, *contract.image_shape]}],
                "outputs": outputs,
            }
        )

    def _predict(self, request: Request) -> Job:
        contract = self._loaded().contract
        seen = read_seen(request.query)
        kind = _media_type(request)
        if kind not in ("", JSON, *PICTURES):
            raise HttpError(415, f"Content-Type {kind[:60]!r} is not taken; {JSON}, {' and '.join(PICTURES)} are")
        body = decompress(request, limit=self.limits.body)
        if kind in PICTURES:
            images = read_picture_request(body, self.limits, contract)
        else:
            images = read_predict_request(body, self.limits, contract.image_shape)
        return Job(images, lambda answers: render_predictions(answers, images if seen else None))

    def _infer(self, request: Request) -> Job:
        contract = self._loaded().contract
        kind = _media_type(request)
        if kind not in ("", JSON, BINARY):
            raise HttpError(415, f"Content-Type {kind[:60]!r} is not taken; {JSON} and {BINARY} are")
        body = decompress(request, limit=self.limits.body)
        header_length = request.headers.get(b"inference-header-content-length")
        infer = read_infer_request(body, header_length, contract.image_shape, most_images=self.limits.images)
        return Job(
            infer.images,
            lambda answers: render_infer_reply(infer, answers, identity=request.identity, names=contract.labels),
        )

    def _loaded(self) -> "Classifier":
        if self._classifier is None:
            raise HttpError(503, "the model is not loaded yet", RETRY)
        return self._classifier

    def _check_ready(self) -> None:
        self._loaded()
        if self._closing:
            raise HttpError(503, "the server is about to end", RETRY)


def _choose(request: Request, handlers: dict[str, Handler]) -> Handler:
    """Return the handler of a call that the method means.

    Raises:
        HttpError: 404, 405, or the refusal of a server that could not read the request.

    """
    if request.refusal is not None:
        raise request.refusal
    if not handlers:
        raise HttpError(404, _not_found(request.path))
    handler = handlers.get("GET" if request.method == "HEAD" else request.method)
    if handler is None:
        allowed = ", ".join([*handlers, *(["HEAD"] if "GET" in handlers else [])])
        raise HttpError(405, f"{request.method[:20]} is not for this path; {allowed} is", {"Allow": allowed})
    return handler


def _log_access(request: Request, response: Response, seconds: float) -> None:
    """Write the line of a request."""
    facts = {
        "method": request.method,
        "path": request.path,
        "status": response.status,
        "milliseconds": round(seconds * 1000, 3),
        "bytes": len(response.body),
        "request": request.identity,
    }
    line = "%(method)s %(path)r %(status)s %(milliseconds)s ms %(bytes)s bytes %(request)s"
    access.info(line, facts, extra={"facts": facts})


def _media_type(request: Request) -> str:
    """Return the `Content-Type` without its parameters; empty where there is none."""
    return request.headers.get(b"content-type", b"").decode("latin-1").partition(";")[0].strip().lower()


def _plain(path: str) -> str:
    """Return a path with its parts decoded; a part that would then hold a slash stays as it was."""
    parts = [(part, unquote(part)) for part in path.split("/")]
    return "/".join(part if "/" in plain else plain for part, plain in parts)


def _not_found(path: str) -> str:
    """Say which part of a path is unknown."""
    parts = _plain(path).split("/")
    if parts[1:3] == ["v2", "models"] and len(parts) > 3:  # noqa: PLR2004 (/v2/models/NAME/versions/VERSION)
        if parts[3] != MODEL_NAME:
            return f"there is no model {parts[3][:60]!r}; there is {MODEL_NAME!r}"
        if parts[4:5] == ["versions"] and parts[5:6] != [MODEL_VERSION]:
            return f"there is no version {'/'.join(parts[5:6])[:60]!r} of {MODEL_NAME!r}; there is {MODEL_VERSION!r}"
    return f"there is nothing at {path[:200]!r}; /docs lists the calls"
