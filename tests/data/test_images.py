import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from brushwork.data.errors import DataError
from brushwork.data.images import fit_image, image_grid, perceptual_hash, png_bytes, read_image


def encoded(image: Image.Image, kind: str = "PNG", exif: Image.Exif | None = None) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, exif=exif or Image.Exif(), lossless=True)
    return stream.getvalue()


def smooth(seed: int, size: int = 64) -> np.ndarray:
    """A picture with large structures, as photographs and drawings have."""
    coarse = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    return np.array(Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC))


def test_exif_orientation_turns_the_picture_upright() -> None:
    array = np.zeros((4, 8, 3), np.uint8)
    array[:, :4] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 270 degrees to show
    read = read_image(encoded(Image.fromarray(array), exif=exif))
    np.testing.assert_array_equal(read, np.rot90(array, -1))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_shows_the_chosen_background(mode: str) -> None:
    clear = Image.new("RGBA", (2, 1), (0, 0, 0, 255))
    clear.putpixel((1, 0), (0, 0, 0, 0))
    image = clear.convert("P") if mode == "P" else clear.convert(mode)
    if mode == "P":
        image = Image.new("P", (2, 1), 0)
        image.putpalette([0, 0, 0, 9, 9, 9])
        image.putpixel((1, 0), 1)
        image.info["transparency"] = 1
    read = read_image(encoded(image), background=(10, 20, 30))
    assert read.tolist() == [[[0, 0, 0], [10, 20, 30]]]


def test_half_transparency_is_blended() -> None:
    image = Image.new("RGBA", (1, 1), (255, 0, 0, 128))
    assert read_image(encoded(image)).ravel().tolist() == [255, 127, 127]


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_keeps_black_middle_and_white(kind: str) -> None:
    values = np.array([[0, 257 * 200, 65535]], np.uint16)
    read = read_image(encoded(Image.fromarray(values), kind))
    assert read.shape == (1, 3, 3)
    assert read[0, :, 0].tolist() == [0, 200, 255]


def test_dim_16_bit_pictures_stay_dim() -> None:
    values = np.full((2, 2), 250, np.uint16)
    assert read_image(encoded(Image.fromarray(values))).max() == 1


def test_float_and_32_bit_pictures_fill_the_range() -> None:
    assert read_image(encoded(Image.fromarray(np.array([[0.0, 1.0]], np.float32)), "TIFF"))[0, 1, 0] == 255
    assert read_image(encoded(Image.fromarray(np.array([[0, 65535]], np.int32)), "TIFF"))[0, 1, 0] == 255


def test_grey_and_cmyk_become_rgb() -> None:
    grey = read_image(encoded(Image.new("L", (3, 2), 77)))
    assert grey.shape == (2, 3, 3)
    assert np.unique(grey).tolist() == [77]
    cyan = read_image(encoded(Image.new("CMYK", (8, 8), (255, 0, 0, 0)), "JPEG"))[0, 0]
    assert cyan[0] < 30
    assert min(cyan[1:]) > 200


def test_broken_files_are_named_with_the_reason(tmp_path: Path) -> None:
    whole = encoded(Image.fromarray(smooth(0)), "JPEG")
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(whole[: len(whole) // 2])
    text = tmp_path / "text.png"
    text.write_text("not a picture")
    empty = tmp_path / "empty.png"
    empty.touch()
    for path, why in [
        (cut, "truncated"),
        (text, "no known picture format"),
        (empty, "no known"),
        (tmp_path / "none.png", "no such file"),
    ]:
        with pytest.raises(DataError, match=why) as caught:
            read_image(path)
        assert path.name in str(caught.value)


def test_decompression_bombs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = encoded(Image.new("1", (300, 300)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(DataError, match="too many pixels"):
        read_image(bomb)


def test_fits_differ_as_they_say() -> None:
    array = np.zeros((8, 16, 3), np.uint8)
    array[:, 4:12] = 200  # the centred square
    assert np.unique(fit_image(array, 8, "crop")).tolist() == [200]
    padded = fit_image(array, 16, "pad", (1, 2, 3))
    assert (padded[:4] == (1, 2, 3)).all()
    assert (padded[12:] == (1, 2, 3)).all()
    np.testing.assert_array_equal(padded[4:12], array)
    squashed = fit_image(array, 8, "squash")
    assert squashed[:, 2:6].min() == 200
    assert squashed[:, [0, 1, 6, 7]].max() == 0


def test_whole_reductions_average_areas() -> None:
    array = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    means = array.reshape(8, 4, 8, 4, 3).mean(axis=(1, 3))
    assert np.abs(fit_image(array, 8) - means).max() <= 0.5 + 1e-6


def test_reductions_do_not_alias() -> None:
    stripes = np.zeros((100, 100, 3), np.uint8)
    stripes[:, ::2] = 255
    assert fit_image(stripes, 32)[:, 2:-2].std() < 4


def test_unknown_fit_is_refused() -> None:
    with pytest.raises(DataError, match="'stretch'"):
        fit_image(smooth(0), 8, "stretch")  # pyright: ignore[reportArgumentType]


def test_grid_places_every_cell_and_leaves_gaps_empty() -> None:
    red, blue = (np.full((8, 8, 3), colour, np.uint8) for colour in ((255, 0, 0), (0, 0, 255)))
    plain = np.array(image_grid([[red, None], [blue, red]], scale=2))
    assert (plain == (255, 0, 0)).all(axis=-1).sum() == 2 * 16 * 16
    assert (plain == (0, 0, 255)).all(axis=-1).sum() == 16 * 16
    stacked = np.array(image_grid(np.stack([np.stack([red, blue])]), scale=2))
    assert (stacked == (0, 0, 255)).all(axis=-1).sum() == 16 * 16


def test_grid_labels_take_room_and_do_not_cover_cells() -> None:
    cell = np.full((16, 16, 3), (255, 0, 0), np.uint8)
    plain = image_grid([[cell, cell]])
    labelled = image_grid([[cell, cell]], row_labels=["a long label"], column_labels=["one", "a longer one"])
    assert labelled.width > plain.width
    assert labelled.height > plain.height
    pixels = np.array(labelled)
    assert (pixels == (255, 0, 0)).all(axis=-1).sum() == 2 * 16 * 16
    assert pixels.min() < 100, "the labels are drawn"
    titled = np.array(image_grid([[cell, cell]], title="a title that is wider than the two cells below it"))
    assert titled.shape[0] > plain.height
    assert titled.shape[1] > plain.width, "a title is never cut"
    assert (titled == (255, 0, 0)).all(axis=-1).sum() == 2 * 16 * 16


def test_hash_survives_resizing_and_jpeg_and_tells_pictures_apart() -> None:
    def distance(a: int, b: int) -> int:
        return (a ^ b).bit_count()

    pictures = [smooth(seed) for seed in range(8)]
    hashes = [perceptual_hash(picture) for picture in pictures]
    assert all(0 <= value < 2**64 for value in hashes)
    for picture, value in zip(pictures, hashes, strict=True):
        small = fit_image(picture, 48)
        jpeg = read_image(encoded(Image.fromarray(picture), "JPEG"))
        assert distance(value, perceptual_hash(small)) <= 4
        assert distance(value, perceptual_hash(jpeg)) <= 4
    others = [distance(a, b) for i, a in enumerate(hashes) for b in hashes[:i]]
    assert min(others) > 12


def test_hash_of_a_flat_picture_has_no_random_bits() -> None:
    flats = {perceptual_hash(np.full((40, 40, 3), level, np.uint8)) for level in (0, 77, 255)}
    assert flats == {0}


def test_png_bytes_are_lossless() -> None:
    np.testing.assert_array_equal(read_image(png_bytes(smooth(3))), smooth(3))
