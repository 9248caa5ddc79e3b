"""deploy/haproxy.cfg and deploy/nginx.conf under load: replicas are rolled and killed, and no request is lost."""

import json
import signal
from pathlib import Path

import numpy as np
import pytest

from tests.balancers import BALANCERS, Load, balanced
from tests.http_server import BODY

# More than HAProxy's buffer holds, so it cannot be repeated once it has been sent.
LARGE = json.dumps({"images": np.random.default_rng(0).integers(100, 256, (20, 784)).tolist()}).encode()


@pytest.mark.parametrize(
    ("name", "body"),
    [("haproxy", BODY), ("haproxy", LARGE), ("nginx", LARGE)],
    ids=["haproxy, small bodies", "haproxy, large bodies", "nginx"],
)
def test_rolling_both_replicas_under_load_loses_no_request(name: str, body: bytes, tmp_path: Path) -> None:
    with balanced(name, tmp_path) as system:
        load = Load(system.port, body, system.call("POST", "/predict", body)[1])
        with load.running():
            for number in (0, 1):
                assert system.replicas[number].stop() == 0
                load.more()
                system.start_again(number)
        assert set(load.outcomes) == {200}, load.outcomes


@pytest.mark.parametrize("name", BALANCERS)
def test_killing_a_replica_under_load_loses_no_request(name: str, tmp_path: Path) -> None:
    with balanced(name, tmp_path) as system:
        load = Load(system.port, BODY, system.call("POST", "/predict", BODY)[1])
        with load.running():
            for number in (0, 1):
                system.replicas[number].stop(signal.SIGKILL)
                load.more()
                system.start_again(number)
        assert set(load.outcomes) == {200}, load.outcomes


@pytest.mark.parametrize("name", BALANCERS)
def test_a_balancer_lets_pictures_of_megabytes_through_and_hides_the_metrics_of_one_replica(
    name: str, tmp_path: Path
) -> None:
    with balanced(name, tmp_path) as system:
        assert system.call("POST", "/predict", bytes(3 * 1024**2))[0] == 413  # by the service: too much JSON
        reply = system.call("POST", "/predict", bytes(3 * 1024**2), "application/octet-stream")
        assert reply[0] == 400
        assert [system.call("GET", path)[0] for path in ("/metrics", "/%6detrics")] == [404, 404]
        assert system.call("GET", "/v2/models/mnist")[0] == 200
