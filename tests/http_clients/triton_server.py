"""Ask a Triton server over HTTP and gRPC; compare with `Classifier` to the bit.

Arguments: the addresses of both, a safetensors file with `images`. Prints what was compared.
"""

import sys

import numpy as np
import tritonclient.grpc
import tritonclient.http
from mnist_serving import Classifier
from safetensors.numpy import load_file

BATCH = 500  # images
OUTPUTS = ("logits", "probabilities", "digit")

images = load_file(sys.argv[3])["images"]
prediction = Classifier().predict(images)
expected = {name: getattr(prediction, name).reshape(len(images), -1) for name in OUTPUTS}
for module, address in ((tritonclient.http, sys.argv[1]), (tritonclient.grpc, sys.argv[2])):
    with module.InferenceServerClient(address) as client:
        assert client.is_model_ready("mnist", "1")
        for start in [*range(0, len(images), BATCH), -1]:  # batches, and one alone
            some = images[start:][:BATCH]
            tensor = module.InferInput("image", list(some.shape), "UINT8")
            tensor.set_data_from_numpy(some)
            reply = client.infer("mnist", [tensor], outputs=[module.InferRequestedOutput(name) for name in OUTPUTS])
            for name in OUTPUTS:
                assert np.array_equal(reply.as_numpy(name), expected[name][start:][:BATCH]), (module.__name__, name)
        best = module.InferRequestedOutput("probabilities", class_count=1)
        ((text,),) = client.infer("mnist", [tensor], outputs=[best]).as_numpy("probabilities")
        assert text.decode().split(":")[2] == prediction.labels[-1]
    print(module.__name__, len(images))
