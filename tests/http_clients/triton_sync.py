"""Puts questions to a server through `tritonclient.http`; prints the labels. Runs in an environment of its own.

Arguments: the server's address without the scheme, a safetensors file with `images`.
"""

import sys

import numpy as np
import tritonclient.http as triton
from safetensors.numpy import load_file
from tritonclient.utils import InferenceServerException

BATCH = 500  # images


def tensor(images, *, binary=True):
    """Return an input for a request."""
    image = triton.InferInput("image", list(images.shape), "UINT8")
    image.set_data_from_numpy(images, binary_data=binary)
    return [image]


def check_health(client):
    """Ask all that can be asked before a request."""
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("mnist")
    assert client.is_model_ready("mnist", "1")
    assert not client.is_model_ready("mnist", "2")
    assert not client.is_model_ready("iris")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    assert client.get_model_metadata("mnist", "1")["inputs"][0]["name"] == "image"


def check_forms(client, images):
    """Compare every form of request and reply with the plainest one."""
    plain = client.infer("mnist", tensor(images))
    expected = plain.as_numpy("probabilities")
    assert expected.shape == (len(images), 10)
    for squeeze in ("gzip", "deflate"):
        for unsqueeze in ("gzip", "deflate"):
            for binary_in in (True, False):
                for binary_out in (True, False):
                    reply = client.infer(
                        "mnist",
                        tensor(images, binary=binary_in),
                        model_version="1",
                        request_id="mine",
                        outputs=[triton.InferRequestedOutput("probabilities", binary_data=binary_out)],
                        request_compression_algorithm=squeeze,
                        response_compression_algorithm=unsqueeze,
                    )
                    assert np.array_equal(reply.as_numpy("probabilities"), expected)
                    assert reply.get_response()["id"] == "mine"
                    assert reply.as_numpy("logits") is None
    for binary in (True, False):
        wish = triton.InferRequestedOutput("probabilities", binary_data=binary, class_count=3)
        best = client.infer("mnist", tensor(images), outputs=[wish]).as_numpy("probabilities")
        assert best.shape == (len(images), 3)
        first = [entry.decode() if isinstance(entry, bytes) else entry for entry in best[:, 0]]
        assert [int(entry.split(":")[1]) for entry in first] == expected.argmax(axis=1).tolist()


def check_errors(client, images):
    """See that the server's own words arrive."""
    try:
        client.infer("mnist", tensor(images[:, :, :14]))
    except InferenceServerException as error:
        assert "[N,1,28,28]" in error.message()
    else:
        raise AssertionError
    try:
        client.infer("iris", tensor(images))
    except InferenceServerException as error:
        assert "iris" in error.message()
    else:
        raise AssertionError


def main():
    """Run all checks, then recognise all images."""
    address, file = sys.argv[1:]
    images = load_file(file)["images"]
    client = triton.InferenceServerClient(address)
    check_health(client)
    check_forms(client, images[:5])
    check_errors(client, images[:1])
    for first in range(0, len(images), BATCH):
        reply = client.infer("mnist", tensor(images[first : first + BATCH]))
        print(*reply.as_numpy("probabilities").argmax(axis=1), sep="\n")
    client.close()


if __name__ == "__main__":
    main()
