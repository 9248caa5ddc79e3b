"""The same through `tritonclient.http.aio`, sixteen requests at a time. Runs in an environment of its own.

Arguments: the server's address without the scheme, a safetensors file with `images`.
"""

import asyncio
import sys

import numpy as np
import tritonclient.http.aio as triton
from safetensors.numpy import load_file
from tritonclient.utils import InferenceServerException

BATCH = 50  # images
AT_ONCE = 16  # requests


async def recognise(client, images, **options):
    """Return the labels' indices."""
    image = triton.InferInput("image", list(images.shape), "UINT8")
    image.set_data_from_numpy(images)
    reply = await client.infer("mnist", [image], **options)
    return reply.as_numpy("probabilities").argmax(axis=1)


async def main():
    """Run some checks, then recognise all images."""
    address, file = sys.argv[1:]
    images = load_file(file)["images"]
    async with triton.InferenceServerClient(address) as client:
        assert await client.is_server_live()
        assert await client.is_server_ready()
        assert await client.is_model_ready("mnist", "1")
        assert (await client.get_model_metadata("mnist"))["platform"] == "onnx_onnxv1"
        plain = await recognise(client, images[:20])
        for algorithm in ("gzip", "deflate"):
            options = {"request_compression_algorithm": algorithm, "response_compression_algorithm": algorithm}
            assert np.array_equal(await recognise(client, images[:20], **options), plain)
        try:
            await recognise(client, images[:1, :, :14])
        except InferenceServerException as error:
            assert "[N,1,28,28]" in error.message()
        else:
            raise AssertionError
        parts = [images[first : first + BATCH] for first in range(0, len(images), BATCH)]
        for first in range(0, len(parts), AT_ONCE):
            together = parts[first : first + AT_ONCE]
            for labels in await asyncio.gather(*(recognise(client, part) for part in together)):
                print(*labels, sep="\n")


if __name__ == "__main__":
    asyncio.run(main())
