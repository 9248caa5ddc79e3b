"""Puts questions to a server through KServe's `InferenceRESTClient`; prints the labels.

Runs in an environment of its own. Arguments: the server's address without the scheme, a safetensors file
with `images`.
"""

import asyncio
import sys

import httpx
import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from safetensors.numpy import load_file

BATCH = 250  # images


async def recognise(client, url, images, *, binary):
    """Return the labels' indices."""
    image = InferInput("image", list(images.shape), "UINT8")
    image.set_data_from_numpy(images, binary_data=binary)
    parameters = {"binary_data_output": binary}
    request = InferRequest(model_name="mnist", infer_inputs=[image], parameters=parameters)
    reply = await client.infer(url, request, model_name="mnist")
    (output,) = [output for output in reply.outputs if output.name == "probabilities"]
    return output.as_numpy().argmax(axis=1)


async def main():
    """Run some checks, then recognise all images."""
    address, file = sys.argv[1:]
    url = f"http://{address}"
    images = load_file(file)["images"]
    client = InferenceRESTClient(RESTConfig(protocol="v2"))
    assert await client.is_server_live(url) is True
    assert await client.is_server_ready(url) is True
    assert await client.is_model_ready(url, "mnist") is True
    assert await client.is_model_ready(url, "iris") is False
    as_json = await recognise(client, url, images[:20], binary=False)
    assert np.array_equal(as_json, await recognise(client, url, images[:20], binary=True))
    try:
        await recognise(client, url, images[:1, :, :14], binary=True)
    except httpx.HTTPStatusError as error:
        assert "[N,1,28,28]" in str(error)
    else:
        raise AssertionError
    for first in range(0, len(images), BATCH):
        print(*await recognise(client, url, images[first : first + BATCH], binary=True), sep="\n")
    await client.close()


if __name__ == "__main__":
    asyncio.run(main())
