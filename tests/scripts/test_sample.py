"""`brushwork sample`: as many images as there are seeds, in the right files; errors are one sentence."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image

from brushwork.data.files import write_file
from brushwork.data.images import read_image
from brushwork.eval import image_folders as module
from brushwork.eval.sources import read_styled_folder
from brushwork.models.errors import ModelError
from brushwork.models.generator import Generator, GeneratorConfig
from brushwork.models.sampling import SampledBatch, sample_batches, sample_matrix
from brushwork.models.snapshot import generator_bytes, load_generator
from brushwork.models.stage import Stage
from brushwork.scripts.sample import parse_seeds

if TYPE_CHECKING:
    from ..conftest import Shell
else:
    Shell = Any

CPU = ("--device", "cpu")


# Seeds
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0-3,7", [0, 1, 2, 3, 7]),
        ("0,0,2-4,3", [0, 2, 3, 4]),
        ("9223372036854775806-9223372036854775807", [2**63 - 2, 2**63 - 1]),
        *((text, "cannot read the seeds") for text in ("", "a", "1,,2", "-4", "5-3", "9" * 5000)),
        ("9223372036854775808", "write numbers up to 9223372036854775807 and rising ranges"),
        ("0-99999999999", "are 100000000000: take at most 1000000"),
    ],
)
def test_seeds_are_numbers_and_ranges_each_once(text: str, expected: list[int] | str) -> None:
    if isinstance(expected, list):
        assert parse_seeds(text) == expected
        return
    with pytest.raises(ModelError, match=expected) as raised:
        parse_seeds(text)
    assert len(str(raised.value)) < 200


# Files
def test_more_seeds_than_a_batch_and_than_the_grid_shows(shell: Shell, run: Path, tmp_path: Path) -> None:
    sizes: list[int] = []

    def counting(*arguments: Any, **options: Any) -> Iterator[SampledBatch]:
        for some in sample_batches(*arguments, **options):
            sizes.append(len(some.cells))
            yield some

    shell.monkeypatch.setattr(module, "sample_batches", counting)
    printed = shell("sample", run, "--seeds", "3-32", "--batch", "16", "--out", tmp_path, *CPU)
    assert "90 images, grid (the first 24 of 30 seeds)" in printed
    assert sizes == [16] * 5 + [10]
    with Image.open(tmp_path / "grid.png") as grid:
        assert 24 * 64 < grid.width < 28 * 64
    generator = load_generator(run)
    whole = sample_matrix(generator, torch.eye(3), torch.arange(3, 33)).permute(0, 1, 3, 4, 2).numpy()
    for row, name in enumerate(generator.style_names):
        assert {path.name for path in (tmp_path / name).iterdir()} == {f"seed{s}.png" for s in range(3, 33)}
        for column in range(30):
            pixels = read_image(tmp_path / name / f"seed{column + 3}.png").astype(int)
            assert np.abs(pixels - whole[row, column]).max() <= 1, "convolutions may round otherwise"


def test_skip_existing_generates_what_is_missing_broken_or_not_ours(
    shell: Shell, run: Path, tmp_path: Path
) -> None:
    options = ("sample", run, "--styles", "01-outline", "--seeds", "0-5", "--out", tmp_path, *CPU)
    folder = tmp_path / "01-outline"
    shell(*options)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    Image.new("RGB", (16, 16)).save(folder / "seed1.png")
    (folder / "seed2.png").write_bytes(before["seed2.png"][:-5])
    (folder / "seed3.png").write_bytes(b"")
    (folder / "seed4.png").unlink()
    assert "4 images (2 were there)" in shell(*options, "--skip-existing")
    assert "0 images (6 were there)" in shell(*options, "--skip-existing")
    for name in ("seed1.png", "seed2.png", "seed3.png", "seed4.png"):
        before_pixels = read_image(before[name]).astype(int)
        assert np.abs(read_image(folder / name) - before_pixels).max() <= 1
    shell(*options)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before, "all are generated anew"


@pytest.mark.parametrize("other", [("--psi", "0.5"), ("--cutoff", "2"), ("--precision", "bf16")])
def test_skip_existing_generates_images_of_other_options_anew(
    shell: Shell, run: Path, tmp_path: Path, other: tuple[str, ...]
) -> None:
    options = ("sample", run, "--styles", "01-outline", "--out", tmp_path, "--skip-existing", *CPU)
    shell(*options, "--seeds", "0-2")
    assert "1 images (0 were there)" in shell(*options, "--seeds", "1", *other)
    assert "2 images (1 were there)" in shell(*options, "--seeds", "0-2", *other)
    assert "3 images (0 were there)" in shell(*options, "--seeds", "0-2")


def test_an_interrupted_job_leaves_whole_images_and_can_be_continued(
    shell: Shell, run: Path, tmp_path: Path
) -> None:
    options = ("sample", run, "--styles", "01-outline", "--seeds", "0-11", "--batch", "4", *CPU)
    shell(*options, "--out", tmp_path / "whole")
    with pytest.MonkeyPatch.context() as patch:

        def interrupted(*rest: Any, **others: Any) -> Iterator[SampledBatch]:
            yield from islice(sample_batches(*rest, **others), 2)
            raise KeyboardInterrupt

        patch.setattr(module, "sample_batches", interrupted)
        with pytest.raises(SystemExit) as ended:
            shell(*options, "--out", tmp_path / "parts")
    assert ended.value.code == 130
    folder = tmp_path / "parts" / "01-outline"
    assert {path.name for path in folder.iterdir()} <= {f"seed{seed}.png" for seed in range(8)}
    shell(*options, "--out", tmp_path / "parts", "--skip-existing")
    for path in (tmp_path / "whole" / "01-outline").iterdir():
        assert np.abs(read_image(path).astype(int) - read_image(folder / path.name)).max() <= 1


# Styles
ODD = ("Art Nouveau", "Art_Nouveau", "Paris, 1900", "a:b", "grid.png", "ink+wash", "pop=art", "日本")


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A snapshot whose styles have names that paths and options could mistake."""
    torch.manual_seed(0)
    config = GeneratorConfig(
        resolution=16, z_dim=8, w_dim=8, mapping_layers=2, channel_base=128, channel_max=12
    )
    path = tmp_path / "odd.safetensors"
    write_file(path, generator_bytes(Generator(config, ODD), stage=Stage(16), notes={}))
    return path


def test_every_style_has_a_folder_that_reads_back_as_that_style(
    shell: Shell, odd: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shell("sample", odd, "--seeds", "0-1", "--out", out, *CPU)
    assert len(list(out.glob("*/seed*.png"))) == 2 * len(ODD)
    read = read_styled_folder(out)
    assert {name.removesuffix("-2") for name in read.style_names} == set(ODD)
    expected = sample_matrix(load_generator(odd), torch.eye(len(ODD)), torch.arange(2))
    for style, images in zip(read.style_names, read.images.unflatten(0, (len(ODD), 2)), strict=True):
        row = ODD.index(style.removesuffix("-2"))
        assert (images.int() - expected[row].int()).abs().max() <= 1, style


def test_styles_are_named_exactly_and_written_once(shell: Shell, odd: Path, tmp_path: Path) -> None:
    styles = "Paris, 1900, ink+wash,pop=art=0.5+a:b=0.5,ink+wash"
    printed = shell("sample", odd, "--styles", styles, "--seeds", "0", "--out", tmp_path / "out", *CPU)
    assert "3 images" in printed
    folders = {path.name for path in (tmp_path / "out").iterdir() if path.is_dir()}
    assert folders == {"Paris, 1900", "ink+wash", "pop=art=0.5+a%3Ab=0.5"}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--cutoff", "-1"), "--cutoff is -1: it must be"),
        (("--cutoff", "7"), "cutoff 7: choose 0 to 6"),
        (("--cutoff", "99"), "cutoff 99: choose 0 to 6, the layers there are"),
        (("--mixing-layer", "6"), "mixing layer 6: choose 1 to 5, of the 6 layers there are"),
        (("--mixing-layer", "99"), "mixing layer 99: choose 1 to 5"),
        (("--device", "abacus"), "--device is 'abacus': it must be auto, cpu, cuda, cuda:N or mps."),
        (("--device", "cuda:99"), "no device 'cuda:99'"),
        (("--styles", "01-outlin"), "did you mean '01-outline'"),
        (("--styles", "01-outline,02-gradient,none"), "this run was not trained without a style"),
        (("--seeds", "5-3"), "cannot read the seeds '5-3'"),
    ],
)
def test_errors(shell: Shell, run: Path, tmp_path: Path, options: tuple[str, ...], sentence: str) -> None:
    assert sentence in shell.mistake("sample", run, *options, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert "does not exist" in shell.mistake("sample", tmp_path / "nothing")
