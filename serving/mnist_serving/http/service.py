"""The service itself: a request in, a reply or a job for the model out. It knows no sockets and never waits."""

import logging
import time
from collections.abc import Iterator
from functools import partial
from urllib.parse import quote

import numpy as np

from mnist_serving import Classifier, Prediction, __version__

from .clients import Clients
from .compression import compress, decompress
from .cors import Cors
from .infer_reply import BINARY, MODEL_NAME, MODEL_VERSION, render_infer_reply
from .infer_request import read_infer_request
from .jobs import Job, split_by_images
from .json_body import JSON, error_response, json_response
from .limits import Limits
from .logs import access, log_access
from .models import describe_model, triton_config, triton_index, v1_status, v2_metadata
from .openapi import describe_api
from .pages import drawing_page, reference_page
from .pixels import Images
from .predict import (
    body_limit,
    is_slow,
    media_type,
    number_job,
    read_flag,
    read_images,
    read_instances,
    render_predictions,
)
from .prometheus import CONTENT_TYPE as PROMETHEUS
from .prometheus import Metrics, Rows
from .request_id import RequestIds
from .routing import UNKNOWN, Handler, Route, find_handler, find_route, path_below
from .transport import RETRY, BodyLimit, HttpError, Request, Response

logger = logging.getLogger("mnist_serving.http")

EXTENSIONS = ["binary_tensor_data", "classification", "model_configuration"]
PICTURE_ROUTES = ("/predict", "/v1/models/{model}:predict")
SERVER_ERROR = HttpError(500, "the server failed; its log says why")


class Service:
    """Answers requests with one classifier; `open` makes it ready, `close` unready."""

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        root_path: str = "",
        origins: tuple[str, ...] = (),
        proxies: tuple[str, ...] = (),
        rows: Rows | None = None,
    ) -> None:
        """Make a service that is alive but not ready.

        Args:
            limits: how much is accepted.
            root_path: below which a proxy offers it.
            origins: the sites, besides its own, whose pages may use it.
            proxies: whose `X-Forwarded-For` the access log believes.
            rows: of numbers that several workers share, for their metrics.

        """
        self.limits = limits or Limits()
        self.root_path = root_path
        self.in_flight = self.large_in_flight = 0
        self._cors = Cors(origins)
        self._clients = Clients(proxies)
        self._request_ids = RequestIds()
        self._classifier: Classifier | None = None
        self.closing = self._given_up = False
        self._drawing, self._reference = drawing_page(), reference_page()
        self._described: bytes  # set by `open`: it shows the model's shapes
        self._routes = self._list_routes()
        names = dict.fromkeys(route for route, _ in (*self._routes.values(), UNKNOWN))
        self.metrics = Metrics(names, rows)

    def open(self, classifier: Classifier) -> None:
        """Become ready."""
        described = describe_api(classifier.contract, self.limits, version=__version__)
        self._described = json_response(described).body
        self.metrics.describe_model(classifier, name=MODEL_NAME, version=MODEL_VERSION)
        self._classifier = classifier

    def close(self) -> None:
        """Report "not ready" from now on; requests that still arrive are answered."""
        self.closing = True

    def give_up(self) -> None:
        """Refuse the pictures that are still to be read, also those of requests that are being answered."""
        self._given_up = True

    def count_in_flight(self, change: int) -> None:
        """Note that a request with a body has arrived, +1, or is answered, -1."""
        self.in_flight += change
        self.metrics.set_in_flight(self.in_flight)

    def is_slow(self, request: Request) -> bool:
        """Return whether `answer` takes milliseconds, so that a server should call it in a thread."""
        if request.error is not None or not request.body or not is_slow(request):
            return False
        return self._find_route(request)[0] in PICTURE_ROUTES

    def body_limit(self, request: Request) -> BodyLimit:
        """Return how large a request's body may be."""
        limit = body_limit(media_type(request), self.limits)
        if limit is self.limits.of_json or self._find_route(request)[0] == "/predict":
            return limit
        return self.limits.of_json

    def answer(self, request: Request) -> Response | Job:
        """Return the reply to a request, or the job that `run` turns into the reply."""
        request.request_id = self._request_ids.pick(request.headers)
        request.route, handlers = self._find_route(request)
        try:
            preflight = self._cors.preflight(request, [*handlers]) if request.method == "OPTIONS" else None
            outcome = preflight or find_handler(request, handlers)(request)
        except HttpError as error:
            outcome = error_response(error)
        except Exception:
            logger.exception("request %s failed", request.request_id)
            outcome = error_response(SERVER_ERROR)
        return self._finish(request, outcome) if isinstance(outcome, Response) else outcome

    def _find_route(self, request: Request) -> Route:
        request.root_path = request.root_path or self.root_path
        path = path_below(request.root_path, request.path) if request.root_path else request.path
        return find_route(self._routes, path)

    def run(self, jobs: list[Job]) -> Iterator[Response]:
        """Yield the replies to jobs, in their order; a run of the model takes as many images as a request may hold."""
        for batch in split_by_images(jobs, self.limits.images):
            prediction = self._predict([job.images for job in batch])
            first = 0
            for job in batch:
                rows = slice(first, first + len(job.images))
                first = rows.stop
                reply = error_response(SERVER_ERROR) if prediction is None else job.reply(prediction, rows)
                yield self._finish(job.request, reply)

    def _predict(self, images: list[Images]) -> Prediction | None:
        """Run the model on the images of one request or several; return None if it failed."""
        together = images[0] if len(images) == 1 else np.concatenate(images)
        try:
            prediction = self._loaded().predict(together)
        except Exception:
            logger.exception("the model failed on %s images", len(together))
            return None
        self.metrics.count_run(prediction)
        return prediction

    def _finish(self, request: Request, response: Response) -> Response:
        """Compress a reply, give it the request's id, count it."""
        if b"accept-encoding" in request.headers:
            compress(request, response)
        if self._cors.on:
            self._cors.mark(request, response)
        response.headers["X-Request-Id"] = request.request_id
        seconds = time.perf_counter() - request.started
        self.metrics.count_request(request.route, response.status, seconds)
        if access.isEnabledFor(logging.INFO):
            log_access(self._clients.find(request), request, response, seconds)
        return response

    def _list_routes(self) -> dict[str, Route]:
        """Return the routes by path."""
        handlers: dict[str, dict[str, Handler]] = {
            "": {"GET": _redirect_to_page},
            "/": {"GET": lambda request: self._drawing.response(request.root_path)},
            "/predict": {"POST": self._predict_images},
            "/model": {"GET": lambda _: json_response(describe_model(self._loaded()))},
            "/metrics": {"GET": lambda _: Response(200, self.metrics.render(), PROMETHEUS)},
            "/openapi.json": {"GET": self._openapi},
            "/docs": {"GET": lambda _: self._reference.response()},
            "/v1/models": {"GET": lambda _: json_response({"models": [MODEL_NAME]})},
            "/v2": {"GET": self._server_metadata},
            "/v2/health/live": {"GET": self._live},
            "/v2/health/ready": {"GET": self._ready},
            "/v2/repository/index": {"POST": self._index},
        }
        routes = {path: (path, methods) for path, methods in handlers.items()}
        routes["/v2/"] = routes["/v2"]
        of_model: dict[str, dict[str, Handler]] = {
            "": {"GET": self._model_metadata},
            "/config": {"GET": self._config},
            "/ready": {"GET": self._model_ready},
            "/infer": {"POST": self._infer},
        }
        of_v1_model: dict[str, dict[str, Handler]] = {
            "": {"GET": self._v1_status},
            ":predict": {"POST": self._predict_instances},
        }
        for protocol, ends in (("v1", of_v1_model), ("v2", of_model)):
            for end, methods in ends.items():
                for version in ("", f"/versions/{MODEL_VERSION}"):
                    name = f"/{protocol}/models/{{model}}{end}"
                    routes[f"/{protocol}/models/{MODEL_NAME}{version}{end}"] = (name, methods)
        return routes

    def _openapi(self, request: Request) -> Response:
        self._loaded()
        if not request.root_path:
            return Response(200, self._described)
        servers = json_response({"servers": [{"url": quote(request.root_path)}]}).body
        return Response(200, servers[:-1] + b"," + self._described[1:])

    def _live(self, _: Request) -> Response:
        return json_response({"live": True, "ready": self._classifier is not None and not self.closing})

    def _ready(self, _: Request) -> Response:
        self._check_ready()
        return json_response({"live": True, "ready": True})

    def _model_ready(self, _: Request) -> Response:
        self._check_ready()
        return json_response({"name": MODEL_NAME, "ready": True})

    def _server_metadata(self, _: Request) -> Response:
        return json_response({"name": "mnist-serving", "version": __version__, "extensions": EXTENSIONS})

    def _model_metadata(self, _: Request) -> Response:
        return json_response(v2_metadata(self._loaded().contract))

    def _config(self, _: Request) -> Response:
        return json_response(triton_config(self._loaded().contract, most_images=self.limits.images))

    def _index(self, _: Request) -> Response:
        return json_response(triton_index(ready=self._classifier is not None and not self.closing))

    def _v1_status(self, _: Request) -> Response:
        self._check_ready()
        return json_response(v1_status())

    def _predict_images(self, request: Request) -> Job:
        contract = self._loaded().contract
        seen = read_flag(request.query, "seen")
        if read_flag(request.query, "number"):
            return number_job(request, self.limits, contract, partial(self._check_wanted, request), seen=seen)
        images = read_images(request, self.limits, contract, partial(self._check_wanted, request))
        return _job(request, images, seen=seen, inked=contract.centred)

    def _predict_instances(self, request: Request) -> Job:
        contract = self._loaded().contract
        images = read_instances(request, self.limits, contract, partial(self._check_wanted, request))
        return _job(request, images, seen=False, inked=contract.centred)

    def _infer(self, request: Request) -> Job:
        contract = self._loaded().contract
        kind = media_type(request)
        if kind not in ("", JSON, BINARY):
            raise HttpError(415, f"Content-Type {kind[:60]!r} is not supported; use {JSON} or {BINARY}")
        body = decompress(request, limit=self.limits.of_json)
        header_length = request.headers.get(b"inference-header-content-length")
        infer = read_infer_request(body, header_length, contract.image_shape, most_images=self.limits.images)
        return Job(
            request,
            infer.images,
            lambda prediction, rows: render_infer_reply(infer, prediction, rows, request_id=request.request_id),
        )

    def _loaded(self) -> Classifier:
        if self._classifier is None:
            raise HttpError(503, "the model is not loaded yet; try again", RETRY)
        return self._classifier

    def _check_ready(self) -> None:
        self._loaded()
        if self.closing:
            raise _shutting_down()

    def _check_wanted(self, request: Request) -> None:
        if self._given_up:
            raise _shutting_down()
        if request.client_gone:
            raise HttpError(408, "the client has closed the connection")


def _shutting_down() -> HttpError:
    return HttpError(503, "the server is shutting down; send requests to another", RETRY)


def _redirect_to_page(request: Request) -> Response:
    """Add the slash that the page's own links need; a path alone cannot lead to another host."""
    return Response(307, b"{}", headers={"Location": f"{quote(request.root_path)}/"})


def _job(request: Request, images: Images, *, seen: bool, inked: bool) -> Job:
    def reply(prediction: Prediction, rows: slice) -> Response:
        return render_predictions(prediction, rows, images, seen=seen, inked=inked)

    return Job(request, images, reply)
