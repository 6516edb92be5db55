import io
import os
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageFile

from brushwork.data import images as images_module
from brushwork.data.errors import DataError
from brushwork.data.images import (
    OUTLINE,
    decode,
    fit_image,
    has_frames,
    image_grid,
    on_white,
    open_image,
    png_bytes,
    read_image,
)


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def noise(size: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)


def test_exif_orientation_turns_the_picture_upright() -> None:
    array = np.zeros((4, 8, 3), np.uint8)
    array[:, :4] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 270 degrees to show
    read = read_image(encoded(Image.fromarray(array), exif=exif))
    np.testing.assert_array_equal(read, np.rot90(array, -1))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_shows_the_background(mode: str) -> None:
    image = Image.new("RGBA", (2, 1), "black")
    image.putpixel((1, 0), (0, 0, 0, 0))
    image = image.quantize() if mode == "P" else image.convert(mode)
    assert read_image(encoded(image), background=(10, 20, 30)).tolist() == [[[0, 0, 0], [10, 20, 30]]]
    half = read_image(encoded(Image.new("RGBA", (1, 1), (255, 0, 0, 128))))
    assert half.ravel().tolist() == [255, 127, 127]


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        (np.array([[0, 257 * 200, 65535]], np.uint16), "PNG", [0, 200, 255]),
        (np.array([[0, 257 * 200, 65535]], np.uint16), "TIFF", [0, 200, 255]),
        (np.array([[250, 250]], np.uint16), "PNG", [1, 1]),
        (np.array([[0, 65535]], np.int32), "TIFF", [0, 255]),
        (np.array([[0, 200]], np.int32), "TIFF", [0, 200]),
    ],
)
def test_deep_grey_is_scaled_to_8_bits(values: np.ndarray, kind: str, expected: list[int]) -> None:
    read = read_image(encoded(Image.fromarray(values), kind))
    assert read.shape == (*values.shape, 3)
    assert read[0, :, 0].tolist() == expected


@pytest.mark.parametrize("value", [np.float32(1), np.int32(65536), np.int32(-1)])
def test_values_without_a_known_range_are_refused(value: np.generic) -> None:
    with pytest.raises(DataError, match="its pixels are no integers of 0 to 65535"):
        read_image(encoded(Image.fromarray(np.array([[value]])), "TIFF"))


def test_grey_and_cmyk_become_rgb() -> None:
    assert read_image(encoded(Image.new("L", (3, 2), 77))).tolist() == [[[77] * 3] * 3] * 2
    cyan = read_image(encoded(Image.new("CMYK", (8, 8), (255, 0, 0, 0)), "JPEG"))[0, 0]
    assert cyan[0] < 30
    assert min(cyan[1:]) > 200


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("cut.jpg", encoded(Image.fromarray(noise(64)), "JPEG")[:800], "truncated"),
        ("text.png", b"not an image", "no known image format"),
        ("empty.png", b"", "no known"),
        ("none.png", None, "no such file"),
        # PostScript would be given to another program.
        ("a.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n%%EOF\n", "no known"),
    ],
)
def test_broken_files_are_named_with_the_reason(
    tmp_path: Path, name: str, content: bytes | None, why: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=f"{name}.*{why}"):
        read_image(tmp_path / name)


def test_too_many_pixels_are_refused_before_they_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images_module, "MAX_PIXELS", 1000)
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda _: pytest.fail("decoded"))
    with pytest.raises(DataError, match="it has 300 x 200 pixels, and 1,000 are read at most"):
        read_image(encoded(Image.new("1", (300, 200))))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    for path in (tmp_path / "pipe.png", tmp_path):
        with pytest.raises(DataError, match="it is no regular file"):
            read_image(path)


def profile(name: Literal["sRGB", "LAB"]) -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(name)).tobytes()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_colours_of_another_space_come_out_as_srgb(mode: str) -> None:
    """In a space in which red is called green, and green red."""
    swapped = bytearray(profile("sRGB"))
    red, green = swapped.index(b"rXYZ") + 4, swapped.index(b"gXYZ") + 4  # their places in the table of tags
    swapped[red : red + 8], swapped[green : green + 8] = swapped[green:][:8], swapped[red:][:8]
    image = Image.fromarray(noise(16))
    image = image.quantize(64) if mode == "P" else image.convert(mode)
    if mode == "RGBA":
        image.putpixel((0, 0), (255, 0, 0, 0))
    plain = np.array(image.convert("RGB")).astype(int)
    found = read_image(encoded(image, icc_profile=bytes(swapped)), background=(1, 2, 3)).astype(int)
    if mode == "RGBA":
        assert found[0, 0].tolist() == [1, 2, 3], "the background is sRGB already"
        found, plain = found[1:], plain[1:]
    assert np.abs(found - plain[..., [1, 0, 2]]).max() <= 2


@pytest.mark.parametrize("content", [profile("sRGB"), b"junk", profile("LAB")])
def test_srgb_stays_exactly_as_it_is_and_unusable_profiles_are_ignored(content: bytes) -> None:
    file = encoded(Image.fromarray(noise(64)), icc_profile=content)
    np.testing.assert_array_equal(read_image(file), noise(64))


def test_further_frames_are_reported() -> None:
    first, second = (Image.new("RGB", (4, 4), colour) for colour in ((255, 0, 0), (0, 0, 255)))
    for kind in ("GIF", "PNG", "WEBP", "TIFF"):
        for others in ([], [second]):
            content = encoded(first, kind, save_all=True, append_images=others, lossless=True)
            with open_image(content) as image:
                assert has_frames(image) is bool(others), kind
                assert decode(image, b"")[0, 0].tolist() == [255, 0, 0]


def test_fits_differ_as_they_say() -> None:
    array = np.zeros((8, 16, 3), np.uint8)
    array[:, 4:12] = 200  # the centred square
    assert np.unique(fit_image(array, (8, 8), "crop")).tolist() == [200]
    padded = np.full((16, 16, 3), (1, 2, 3), np.uint8)
    padded[4:12] = array
    np.testing.assert_array_equal(fit_image(array, (16, 16), "pad", (1, 2, 3)), padded)
    squashed = fit_image(array, (8, 8), "squash")
    assert squashed[:, 2:6].min() == 200
    assert squashed[:, [0, 1, 6, 7]].max() == 0
    assert np.array_equal(fit_image(array, (8, 12)), array[:, 2:14]), "an aspect of 3:2"
    assert (fit_image(np.full((1, 1, 3), 7, np.uint8), (8, 32)) == 7).all(), "one pixel of another aspect"
    upright = array.transpose(1, 0, 2)
    assert np.array_equal(fit_image(upright, (12, 8)), upright[2:14]), "and one of 2:3"


@pytest.mark.parametrize("side", [3, 4])
def test_colours_of_transparent_pixels_do_not_bleed(side: int) -> None:
    cutout = np.zeros((6, 6, 4), np.uint8)
    cutout[:, :3] = (200, 100, 50, 255)  # the other half is transparent black
    assert read_image(png_bytes(cutout), background=None).tolist() == cutout.tolist()
    seen = fit_image(cutout, (side, side), "squash").reshape(-1, 4)
    assert np.abs(seen[seen[:, 3] > 20][:, :3] - np.array([200.0, 100.0, 50.0])).max() <= 4
    assert on_white(cutout)[0, [0, 5]].tolist() == [[200, 100, 50], [255, 255, 255]]


def test_reductions_average_areas_and_do_not_alias() -> None:
    array = noise(32)
    means = array.reshape(8, 4, 8, 4, 3).mean(axis=(1, 3))
    assert np.abs(fit_image(array, (8, 8)) - means).max() <= 0.5 + 1e-6
    stripes = np.zeros((100, 100, 3), np.uint8)
    stripes[:, ::2] = 255
    assert fit_image(stripes, (32, 32))[:, 2:-2].std() < 4


def pixels_of(grid: Image.Image, colour: tuple[int, int, int]) -> int:
    return int((np.array(grid) == colour).all(axis=-1).sum())


def test_the_grid_shows_every_cell_and_labels_take_room() -> None:
    red, blue = (np.full((8, 8, 3), colour, np.uint8) for colour in ((255, 0, 0), (0, 0, 255)))
    plain = image_grid([[red, None], [blue, red]], scale=2)
    assert pixels_of(plain, (255, 0, 0)) == 2 * 16 * 16
    assert pixels_of(plain, (0, 0, 255)) == 16 * 16
    red = red.repeat(2, 0).repeat(2, 1)
    plain = image_grid(np.stack([np.stack([red, red])]))
    labelled = image_grid([[red, red]], row_labels=["a long label"], column_labels=["one", "a longer one"])
    titled = image_grid([[red, red]], title="a title that is wider than the two cells below it")
    for grid in (labelled, titled):
        assert grid.width > plain.width
        assert grid.height > plain.height
        assert pixels_of(grid, (255, 0, 0)) == 2 * 16 * 16
        assert np.array(grid).min() < 100, "the text is there"


def test_transparent_cells_of_a_grid_are_on_white_in_an_outline() -> None:
    clear = np.zeros((8, 8, 4), np.uint8)
    grid = image_grid([[clear, clear]])
    assert pixels_of(grid, OUTLINE) == 2 * (10 * 10 - 8 * 8)
    assert pixels_of(grid, (255, 255, 255)) + pixels_of(grid, OUTLINE) == grid.width * grid.height
