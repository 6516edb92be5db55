import pytest
import torch

from brushwork.models.attention import SelfAttention


def opened(channels: int = 8, head_dim: int = 4) -> SelfAttention:
    """With the gate wide open."""
    layer = SelfAttention(channels, head_dim=head_dim)
    torch.nn.init.ones_(layer.gate)
    return layer


def test_a_new_block_is_the_identity_and_can_learn() -> None:
    layer, x = SelfAttention(8), torch.randn(2, 8, 4, 4)
    y = layer(x)
    assert torch.equal(y, x)
    (y * torch.randn_like(y)).sum().backward()
    assert layer.gate.grad is not None
    assert layer.gate.grad != 0


def test_attention_is_equivariant_to_the_order_of_positions() -> None:
    layer, x = opened(), torch.randn(2, 8, 4, 6)
    order = torch.randperm(24)
    shuffled = layer(x.flatten(2)[..., order].view_as(x))
    assert torch.allclose(shuffled, layer(x).flatten(2)[..., order].view_as(x), atol=1e-5)
    assert not torch.allclose(layer(x), x, atol=1e-2)


def test_attention_equals_softmax_of_scaled_products_head_by_head() -> None:
    layer, x = opened(channels=8, head_dim=4), torch.randn(1, 8, 3, 3)
    qkv = (layer.to_qkv.weight[:, :, 0, 0] * layer.to_qkv.scale) @ x[0].flatten(1)  # (24, 9)
    q, k, v = qkv.chunk(3)
    heads = [
        v[own] @ torch.softmax(q[own].T @ k[own] / 2, dim=1).T for own in (slice(0, 4), slice(4, 8))
    ]  # fmt: skip
    mixed = (layer.to_out.weight[:, :, 0, 0] * layer.to_out.scale) @ torch.cat(heads)
    assert torch.allclose(layer(x)[0].flatten(1), x[0].flatten(1) + mixed, atol=1e-5)


def test_every_position_sees_every_other() -> None:
    layer, x = opened(), torch.randn(1, 8, 4, 4, requires_grad=True)
    layer(x)[0, :, 0, 0].sum().backward()
    assert x.grad is not None
    assert (x.grad.abs().sum(dim=1) > 0).all()


@pytest.mark.parametrize(("channels", "heads"), [(8, 1), (32, 1), (64, 2), (96, 3)])
def test_heads_are_as_many_as_fit(channels: int, heads: int) -> None:
    assert SelfAttention(channels).heads == heads


def test_channels_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="9 channels do not divide into 2 attention heads"):
        SelfAttention(9, head_dim=4)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_attention_can_be_differentiated_twice(layout: torch.memory_format) -> None:
    # R1 needs it in the discriminator; fused kernels, which some layouts would select, cannot.
    layer = opened(channels=4, head_dim=4).double()
    x = torch.randn(1, 4, 2, 2, dtype=torch.float64).contiguous(memory_format=layout).requires_grad_()
    assert torch.autograd.gradgradcheck(lambda x: layer(x), (x,))
