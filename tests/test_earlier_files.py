"""Files that version 0.2 wrote still load, and their images are the same."""

from pathlib import Path

import numpy as np
import pytest
import torch

from brushwork.data.dataset import load_dataset
from brushwork.models.sampling import sample
from brushwork.models.snapshot import load_generator

FILES = Path(__file__).parent / "files" / "version-0.2"


@pytest.mark.parametrize("name", ["adain", "modulated", "encoders"])
def test_samples_of_a_snapshot_are_the_same_within_one_level(name: str) -> None:
    generator = load_generator(FILES / f"{name}.safetensors")
    assert generator.style_names == ("chalk", "ink", "oil")
    images = sample(generator, torch.eye(3).repeat_interleave(2, 0), torch.tensor([0, 7] * 3), psi=0.8)
    expected = np.load(FILES / "pictures.npz")[name]
    assert np.abs(images.numpy().astype(int) - expected).max() <= 1


def test_a_packed_data_set_is_the_same() -> None:
    train, test = (load_dataset(FILES / "dataset", split) for split in ("train", "test"))
    assert train.style_names == test.style_names == ("00-filled", "01-outline")
    assert train.subjects == ("0000", "0001", "0002", "0003") * 2
    assert test.subjects == ("0004", "0005") * 2
    assert train.fingerprint.startswith("2080ceb1f4d7476d")
    assert (int(train.images.long().sum()), int(test.images.long().sum())) == (300656, 147314)
