"""The program that the tutorial everybody starts from ends with: the rival that `training.py` measures.

torchvision's `MNIST` with `ToTensor`, a `DataLoader`, the 784-128-10 network, Adam, 5 epochs, then the test set.
It prints the seconds of its training loop and its test accuracy as JSON.
"""

import json
import sys
import time

import torch
from torch import nn
from torch.utils.data import DataLoader

# A torchvision built for another torch needs its two operators declared; the pipeline's own remedy
# would bring the pipeline's settings along, and the rival is to run as people run it.
try:
    import torchvision  # noqa: F401
except RuntimeError:
    _declared = torch.library.Library("torchvision", "FRAGMENT")
    for _name in ("nms", "qnms"):
        _declared.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

from torchvision.datasets import MNIST
from torchvision.transforms import ToTensor


def main(folder: str, epochs: int, device: str = "cpu") -> None:
    """Train for some epochs on the IDX files of a folder, as the tutorial does, and test."""
    torch.manual_seed(0)
    train = DataLoader(MNIST(folder, train=True, transform=ToTensor()), batch_size=64, shuffle=True)
    test = DataLoader(MNIST(folder, train=False, transform=ToTensor()), batch_size=64)
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10)).to(device)
    loss_function = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    print("start", flush=True)
    start = time.perf_counter()
    for epoch in range(1, epochs + 1):
        model.train()
        total = 0.0
        for images, labels in train:
            logits = model(images.to(device))
            loss = loss_function(logits, labels.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
        print(f"epoch {epoch}/{epochs} | avg loss {total / len(train):.4f}", file=sys.stderr)
    loop = time.perf_counter() - start

    model.eval()
    with torch.no_grad():
        correct = sum(int((model(images.to(device)).argmax(dim=1).cpu() == labels).sum()) for images, labels in test)
    print(json.dumps({"loop": loop, "accuracy": correct / 10_000}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
