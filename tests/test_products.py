"""Products of matrices: right, and computed by what gives the same bytes on every processor."""

import subprocess
import sys
import time
from threading import Thread

import pytest
import torch
from torch import nn

from stages import HAS_AVX2
from stages.models.products import multiply_with_onednn


def test_a_linear_layer_and_its_gradients_are_right() -> None:
    torch.manual_seed(0)
    layer, inputs = nn.Linear(50, 7), torch.randn(30, 50, requires_grad=True)
    layer(inputs).square().sum().backward()
    exact, same = nn.Linear(50, 7).double(), inputs.detach().double().requires_grad_()
    exact.load_state_dict(layer.state_dict())
    exact(same).square().sum().backward()
    pairs = zip([*layer.parameters(), inputs], [*exact.parameters(), same], strict=True)
    for found, wanted in pairs:
        torch.testing.assert_close(found.grad, wanted.grad, check_dtype=False, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("sides", [(0, 5, 3), (4, 0, 3), (4, 5, 0), (1, 1, 1)])
def test_matrices_of_any_size_can_be_multiplied(sides: tuple[int, int, int]) -> None:
    left, right = torch.rand(sides[0], sides[1]), torch.rand(sides[1], sides[2])
    by_hand = (left[:, :, None] * right[None]).sum(dim=1)
    torch.testing.assert_close(left @ right, by_hand)
    torch.testing.assert_close(torch.addmm(torch.ones(sides[2]), left, right, beta=2, alpha=3), 2 + 3 * by_hand)


@pytest.mark.skipif(not HAS_AVX2, reason="without AVX2 the products are PyTorch's own")
def test_a_linear_layer_has_the_bits_of_onednn() -> None:
    layer, inputs = nn.Linear(784, 128), torch.rand(64, 784)
    linear = torch.ops.mkldnn._linear_pointwise
    assert torch.equal(layer(inputs), linear(inputs, layer.weight, layer.bias, "none", [], ""))


@pytest.mark.parametrize("left", ["rows", "columns", "a part"])
@pytest.mark.parametrize("right", ["a part", "every other column", "one row repeated"])
def test_a_part_of_a_matrix_is_multiplied_as_its_copy_is(left: str, right: str) -> None:
    """OneDNN's kernel for matrices with gaps sums in another order, and takes a thousand times as long."""
    lefts = {"rows": torch.rand(32, 60), "columns": torch.rand(60, 32).t(), "a part": torch.rand(32, 70)[:, 5:65]}
    larger = torch.rand(60, 200)
    rights = {
        "a part": larger[:, :100],
        "every other column": larger[:, ::2],
        "one row repeated": larger[:1, :100].expand(60, 100),
    }
    copy = rights[right].contiguous()
    assert torch.equal(lefts[left] @ rights[right], lefts[left] @ copy)
    bias = torch.rand(100)
    assert torch.equal(torch.addmm(bias, lefts[left], rights[right]), torch.addmm(bias, lefts[left], copy))


def test_a_bias_may_be_a_part_of_another_tensor_and_of_no_other_type() -> None:
    inputs, weights, grid = torch.rand(4, 8), torch.rand(3, 8), torch.arange(9.0).reshape(3, 3)
    for bias in (torch.tensor([5.0]).expand(3), grid[:, 0]):
        product = inputs.double() @ weights.double().t() + bias
        torch.testing.assert_close(nn.functional.linear(inputs, weights, bias), product, check_dtype=False)
    with pytest.raises(RuntimeError, match="must have the same dtype"):
        nn.functional.linear(inputs, weights, torch.ones(3, dtype=torch.float64))


def test_other_threads_run_while_a_product_is_computed() -> None:
    matrix = torch.rand(2500, 2500)
    product = Thread(target=torch.mm, args=(matrix, matrix))
    product.start()
    turns = 0
    while product.is_alive():
        turns += 1
        time.sleep(0.001)
    assert turns > 20  # a product that held the interpreter's lock would leave two or three


def test_matrices_that_do_not_fit_get_pytorchs_own_message() -> None:
    with pytest.raises(RuntimeError, match=r"cannot be multiplied \(2x3 and 4x5\)"):
        _ = torch.rand(2, 3) @ torch.rand(4, 5)


def test_a_pytorch_without_the_operator_is_named_with_the_remedy() -> None:
    with pytest.raises(SystemExit, match=r"this PyTorch, 2\..*, lacks .*nothing.*requirements\.lock"):
        multiply_with_onednn("nothing")


def test_nothing_warns_when_the_products_are_replaced() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "import stages.models.products"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
