import numpy as np
import torch

from brushwork.data.splitmix import random_bits, uniform, upper

MASK = (1 << 64) - 1


def reference(seed: int, row: int, column: int) -> int:
    """SplitMix64 in Python's whole numbers, as its authors write it."""

    def finalised(x: int) -> int:
        x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
        return x ^ (x >> 31)

    golden = 0x9E3779B97F4A7C15
    stream = finalised((row + finalised((seed + golden) & MASK)) & MASK)
    return finalised((stream + (column + 1) * golden) & MASK)


def test_bits_are_those_of_whole_numbers_without_a_sign() -> None:
    rows = torch.tensor([0, 1, 17, 2**40])
    for seed in (0, 1, 2**62 + 12345, -1):
        expected = [[reference(seed & MASK, row, column) for column in range(3)] for row in rows.tolist()]
        assert random_bits(seed, rows, 3).numpy().view(np.uint64).tolist() == expected


def test_upper_bits_have_no_sign() -> None:
    bits = torch.tensor([-1, 0, 1 << 62, -(1 << 63)])
    assert upper(bits, 2).tolist() == [3, 0, 1, 2]
    assert upper(bits, 63).tolist() == [2**63 - 1, 0, 2**61, 2**62]


def test_uniform_is_uniform_and_independent() -> None:
    random = uniform(0, torch.arange(20000), 4).numpy()
    assert random.min() >= 0
    assert random.max() < 1
    np.testing.assert_allclose(random.mean(axis=0), 0.5, atol=0.01)
    np.testing.assert_allclose(random.var(axis=0), 1 / 12, atol=0.003)
    np.testing.assert_allclose(np.corrcoef(random.T) - np.eye(4), 0, atol=0.03)
