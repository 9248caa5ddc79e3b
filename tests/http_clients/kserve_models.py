"""Build the objects of KServe's manifests with the models of its SDK; fail on a key that it does not know.

python kserve_models.py FILE...
"""

import sys
from pathlib import Path

import kserve.models
import kubernetes.client.models
import yaml

MODELS = {"ServingRuntime": "V1alpha1ServingRuntime", "InferenceService": "V1beta1InferenceService"}


def build(kind, value, place):
    """Return a value as an object of a type of the SDK; KeyError and ValueError name what does not fit."""
    if kind.startswith("list["):
        return [build(kind[5:-1], item, place) for item in value]
    model = getattr(kserve.models, kind, None) or getattr(kubernetes.client.models, kind, None)
    if model is None:  # a number, a text, a mapping of texts
        return value
    names = {written: name for name, written in model.attribute_map.items()}
    if unknown := value.keys() - names.keys():
        raise KeyError(f"{place} has no {', '.join(sorted(unknown))}; known are {', '.join(sorted(names))}")
    parts = {names[key]: build(model.openapi_types[names[key]], value[key], f"{place}.{key}") for key in value}
    return model(**parts)


for file in sys.argv[1:]:
    document = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    build(MODELS[document["kind"]], document, document["kind"])
    print(document["kind"], document["metadata"]["name"])
