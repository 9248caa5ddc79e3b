"""The ASGI application without a server: requests of one turn of the event loop share a run of the model."""

import asyncio
import json
import re

import numpy as np
from mnist_serving.http.asgi import Application, Message

from tests.http_service import CLASSIFIER, GREY, ask, make_service

IMAGES = [GREY, GREY * 4, GREY[::-1]]


def application(**limits: int) -> Application:
    return Application(make_service(root_path="", origins=(), **limits))


async def post(app: Application, path: str, body: bytes) -> Message:
    """Return the status and the body of the reply to a request."""
    reply: Message = {}

    async def receive() -> Message:
        return {"type": "http.request", "body": body}

    async def send(message: Message) -> None:
        reply.update(message)

    scope = {"type": "http", "method": "POST", "path": path, "headers": [], "query_string": b""}
    await app(scope, receive, send)
    return reply


def predict(app: Application, image: np.ndarray) -> asyncio.Task[Message]:
    body = json.dumps({"image": image.tolist()}).encode()
    return asyncio.create_task(post(app, "/predict", body))


async def predict_together(app: Application) -> list[str]:
    """Return the labels of three requests that arrive in one turn."""
    replies = await asyncio.gather(*(predict(app, image) for image in IMAGES))
    return [json.loads(reply["body"])["predictions"][0]["label"] for reply in replies]


def runs(app: Application) -> int:
    """Return how many times the model ran."""
    found = re.search(rb"mnist_batch_images_count (\d+)", ask(app.service, "/metrics").body)
    assert found is not None
    return int(found[1])


def test_requests_of_one_turn_share_a_run_and_each_gets_its_own_answer() -> None:
    app = application()
    assert asyncio.run(predict_together(app)) == CLASSIFIER.predict(np.stack(IMAGES)).labels
    assert runs(app) == 1


def test_a_run_takes_no_more_images_than_a_request_may_have() -> None:
    app = application(images=2)
    asyncio.run(predict_together(app))
    assert runs(app) == 2


def test_one_application_serves_one_loop_after_another() -> None:
    app = application()
    assert asyncio.run(predict_together(app)) == asyncio.run(predict_together(app))


def test_an_application_is_ready_each_time_that_it_is_started() -> None:
    app = application()

    async def live() -> list[int]:
        events = iter(["startup", "shutdown"])
        statuses: list[int] = []

        async def receive() -> Message:
            return {"type": f"lifespan.{next(events)}"}

        async def send(message: Message) -> None:
            assert message["type"].endswith(".complete")
            statuses.append(ask(app.service, "/v2/health/ready").status)

        await app({"type": "lifespan"}, receive, send)
        return statuses

    assert [asyncio.run(live()), asyncio.run(live())] == [[200, 503], [200, 503]]


def test_a_request_that_is_cancelled_leaves_the_others_their_answers() -> None:
    app = application()

    async def cancel_one() -> list[int | str]:
        tasks = [predict(app, image) for image in IMAGES]
        await asyncio.sleep(0)  # all three wait for the model
        tasks[0].cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        return [o["status"] if isinstance(o, dict) else type(o).__name__ for o in outcomes]

    assert asyncio.run(cancel_one()) == ["CancelledError", 200, 200]
    assert app.service.in_flight == 0


def test_a_request_that_is_cancelled_while_its_body_arrives_ends() -> None:
    app = application()

    async def never() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def cancel() -> list[object]:
        scope = {"type": "http", "method": "POST", "path": "/predict", "headers": [], "query_string": b""}
        task = asyncio.create_task(app(scope, never, never))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        assert app.service.in_flight == 1
        task.cancel()
        return [*await asyncio.gather(task, return_exceptions=True)]

    assert [type(outcome) for outcome in asyncio.run(cancel())] == [asyncio.CancelledError]
    assert app.service.in_flight == 0


def test_a_client_that_leaves_is_sent_nothing() -> None:
    app = application()

    async def leave() -> None:
        async def receive() -> Message:
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            raise AssertionError(message)

        scope = {"type": "http", "method": "POST", "path": "/predict", "headers": [], "query_string": b""}
        await app(scope, receive, send)

    asyncio.run(leave())
    assert app.service.in_flight == 0
