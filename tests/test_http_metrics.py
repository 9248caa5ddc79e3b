"""What the service counts."""

import numpy as np
from mnist_serving.http.prometheus import Rows
from mnist_serving.http.service import Service

from tests.http_service import CLASSIFIER, ask, ask_json, make_service


def test_metrics_count_requests_images_and_abstentions() -> None:
    service = make_service()
    ask_json(service, "/predict", {"images": [[0] * 784] * 3})
    ask(service, "/nowhere")
    ask(service, "/predict", method="PUT")
    text = ask(service, "/metrics").body.decode()
    assert 'mnist_requests_total{route="/predict",status="200"} 1.0' in text
    assert 'mnist_requests_total{route="other",status="404"} 1.0' in text
    assert 'mnist_requests_total{route="/predict",status="405"} 1.0' in text
    assert "mnist_images_total 3.0" in text
    assert (
        f'mnist_predictions_total{{label="{CLASSIFIER.predict(np.zeros((28, 28), np.uint8)).labels[0]}"}} 3.0' in text
    )
    assert text.count("mnist_predictions_total{") == 10
    assert "mnist_batch_images_count 1.0" in text
    abstained = int(CLASSIFIER.predict(np.zeros((3, 28, 28), np.uint8)).abstained.sum())
    assert f"mnist_abstained_total {abstained}.0" in text
    assert f'sha256="{CLASSIFIER.checksum}"' in text


def test_the_rows_of_several_workers_add_up_and_a_replacement_counts_on() -> None:
    rows = Rows(2)
    for place in (0, 1, 1):
        rows.place = place
        service = Service(rows=rows)
        service.open(CLASSIFIER)
        ask_json(service, "/predict", {"images": [[0] * 784] * 3})
        service.count_in_flight(1)
    text = ask(service, "/metrics").body.decode()
    assert 'mnist_requests_total{route="/predict",status="200"} 3.0' in text
    assert 'mnist_request_seconds_count{route="/predict"} 3.0' in text
    assert 'mnist_batch_images_bucket{le="2.0"} 0.0' in text
    assert 'mnist_batch_images_bucket{le="4.0"} 3.0' in text
    assert "mnist_batch_images_sum 9.0" in text
    assert "mnist_requests_in_flight 2.0" in text  # the former worker of the second place has none
    assert text.count("\nprocess_resident_memory_bytes ") == 1
