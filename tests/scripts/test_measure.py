"""`brushwork measure` of runs, folders, pairs and statistics, with comparisons and mistakes."""

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from brushwork.data.curate.pack import PackConfig, pack
from brushwork.data.dataset import load_dataset
from brushwork.eval.evaluator import images_of_styles
from brushwork.eval.features.vision_transformers import NETWORKS
from brushwork.eval.reference import build_reference
from brushwork.eval.sources import Stored
from brushwork.models.pretrained.frozen import FrozenNetwork, as_notes, from_notes
from brushwork.models.snapshot import generator_bytes, load_generator, snapshot_header

from ..conftest import Shell
from .conftest import save_untrained


def measured(shell: Shell, source: Path, out: Path, *options: object) -> dict:
    shell("measure", source, "--out", out, "--device", "cpu", "--no-control", *options)
    assert "<html" in (out / "report.html").read_text()
    return json.loads((out / "report.json").read_text())


def save_pictures(folder: Path, packed: Path, shift: int = 0) -> tuple[str, ...]:
    """Write the held-out images as FOLDER/<style>/<subject>.png, under the styles so many places on."""
    pictures = load_dataset(packed, "test")
    names = pictures.style_names[shift:] + pictures.style_names[:shift]
    for image, style, subject in zip(pictures.images, pictures.styles, pictures.subjects, strict=True):
        path = folder / names[int(style)] / f"{subject}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(path)
    return names


def test_measure_a_folder_of_real_images(shell: Shell, packed: Path, tmp_path: Path) -> None:
    save_pictures(tmp_path / "made", packed)
    save_pictures(tmp_path / "wrong", packed, shift=1)
    options = ("--reference", packed, "--metrics", "fd", "accuracy")
    right, wrong = (
        measured(shell, tmp_path / made, tmp_path / "o", *options)["figures"] for made in ("made", "wrong")
    )
    of_right, of_wrong = (figures["accuracy"]["measured"]["value"] for figures in (right, wrong))
    assert of_wrong < of_right == right["accuracy"]["real"]["value"], "they are the held-out images"
    assert wrong["fd"]["measured"]["value"] == pytest.approx(right["fd"]["measured"]["value"], rel=1e-6)


def test_only_comparable_reports_are_compared(shell: Shell, packed: Path, run: Path, tmp_path: Path) -> None:
    options = ("--reference", packed, "--metrics", "accuracy")
    measured(shell, run, tmp_path / "a", *options, "--per-style", "6")
    same = (*options, "--out", tmp_path / "b", "--device", "cpu", "--no-control")
    against = ("--against", tmp_path / "a" / "report.json")
    assert "accuracy" in shell("measure", run, *same, "--per-style", "6", *against)
    said = shell.mistake("measure", run, *same, "--per-style", "7", *against)
    assert "images_per_style" in said
    (tmp_path / "b" / "report.json").unlink()
    said = shell.mistake("measure", run, *same, "--per-style", "6", "--seed", "1", *against)
    assert "seed: 0 there, 1 here" in said
    assert not (tmp_path / "b" / "report.json").exists(), "known before anything is measured"
    assert "nothing.json" in shell.mistake("measure", run, *same, "--against", tmp_path / "nothing.json")


def test_measure_pairs(shell: Shell, packed: Path, tmp_path: Path) -> None:
    """The outputs are the real drawings: no distance to the truth, and one to the contents."""
    names = save_pictures(tmp_path / "real", packed)
    subjects = sorted(path.stem for path in (tmp_path / "real" / names[0]).iterdir())
    rows = [
        f"real/{names[1 + i % 2]}/{subject}.png,real/{names[0]}/{subject}.png,{names[1 + i % 2]},{subject}"
        for i, subject in enumerate(subjects)
    ]
    manifest = tmp_path / "pairs.csv"
    manifest.write_text("\n".join(["output,content,style,subject", *rows]) + "\n")
    options = ("--reference", packed, "--metrics", "content", "ssim", "truth", "accuracy")
    figures = measured(shell, manifest, tmp_path / "o", *options)["figures"]
    assert figures["truth"]["measured"]["value"] == 0
    assert figures["truth"]["baselines"]["content unchanged"]["value"] > 0
    assert figures["content_raw"]["measured"]["value"] > 0
    assert figures["ssim"]["measured"]["value"] < 1
    accuracy = figures["accuracy"]
    assert accuracy["measured"]["value"] > accuracy["baselines"]["content unchanged"]["value"]
    row = rows[0].replace(f",{names[1]},", ",oil,")
    manifest.write_text(f"output,content,style,subject\n{row}\n")
    found = measured(shell, manifest, tmp_path / "o", "--reference", packed)
    assert {"content_raw", "ssim"} == found["figures"].keys() - {"content_normalised"}
    assert found["notes"][0].startswith("fd, accuracy: The reference has no style 'oil'")


def test_folders_of_sample_read_back_as_their_styles(shell: Shell, pictures: Path, tmp_path: Path) -> None:
    """Styles whose folders cannot have their names everywhere, and a long one."""
    odd = ("50% a:b", "x?", "ü" * 120)
    for folder, name in zip(sorted(pictures.iterdir()), odd, strict=True):
        shutil.copytree(folder, tmp_path / "images" / name)
    pack(tmp_path / "images", tmp_path / "data", PackConfig(resolution=16, test_fraction=0.3))
    shell("sample", save_untrained(tmp_path / "run", odd), "--seeds", "0-2", "--device", "cpu")
    made = tmp_path / "run" / "generated"
    assert (made / "50%25 a%3Ab").is_dir()
    options = ("--reference", tmp_path / "data", "--metrics", "accuracy")
    assert sorted(measured(shell, made, tmp_path / "o", *options)["style_names"]) == sorted(odd)


def test_measure_takes_published_statistics(shell: Shell, run: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "real.npz", mu=np.zeros(1152), sigma=np.eye(1152))
    options = ("--reference", tmp_path / "real.npz", "--metrics", "fd", "--per-style", "6", "--psi", "0.5")
    found = measured(shell, run, tmp_path / "o", *options)
    assert found["figures"]["fd"]["measured"]["value"] > 0
    assert (found["label"], found["protocol"]["psi"]) == (str(run), 0.5)


def save_looked_through(run: Path, path: Path, *networks: FrozenNetwork) -> Path:
    generator = load_generator(run)
    notes = {"nimg": 8, "looked_through": as_notes(networks)}
    path.write_bytes(generator_bytes(generator, stage=generator.trained_stage, notes=notes))
    return path


def test_a_run_is_not_judged_by_what_it_looked_through(
    shell: Shell, packed: Path, run: Path, tmp_path: Path
) -> None:
    """At each door: measuring, measuring in the loop, choosing the best snapshot."""
    plain = (
        "--reference",
        packed,
        "--device",
        "cpu",
        "--no-control",
        "--metrics",
        "fd",
        "--out",
        tmp_path / "o",
    )
    loss = FrozenNetwork.published("efficientnet-lite0", "loss")
    trained = save_looked_through(run, tmp_path / "loss.safetensors", loss)
    said = shell.mistake("measure", trained, *plain)
    assert (
        "efficientnet-lite0 gave this run its gradients, so it cannot judge it: take --features hed-vgg16"
        in said
    )
    options = ("--data", packed, "--start-from", trained, "--out", tmp_path / "run", "--device", "cpu")
    said = shell.mistake("train", "toy", *options, "--interval.metrics-kimg", "0.016")
    assert "turn them off by --interval.metrics-kimg 0" in said
    shell("train", "toy", *options, "--total-kimg", "0.016", "--interval.metrics-kimg", "0")
    header = snapshot_header(tmp_path / "run" / "snapshots" / "latest.safetensors")
    assert from_notes(header["notes"]["looked_through"]) == (loss,), "inherited"

    chosen = FrozenNetwork.published("efficientnet-lite0", "selection")
    printed = shell("measure", save_looked_through(run, tmp_path / "best.safetensors", chosen), *plain)
    assert "caution: The snapshot was chosen by efficientnet-lite0" in printed
    report = json.loads((tmp_path / "o" / "report.json").read_text())
    assert report["environment"]["looked through"] == "efficientnet-lite0 (57934424, selection)"
    assert "Read with caution" in (tmp_path / "o" / "report.html").read_text()


def test_compressed_images_are_named_and_part_of_the_protocol(
    shell: Shell, packed: Path, tmp_path: Path
) -> None:
    names = save_pictures(tmp_path / "png", packed)
    for path in sorted((tmp_path / "png").glob("*/*.png")):
        for quality in (75, 95):
            out = tmp_path / str(quality) / path.parent.name / f"{path.stem}.jpg"
            out.parent.mkdir(parents=True, exist_ok=True)
            Image.open(path).save(out, quality=quality)
    options = ("--reference", packed, "--device", "cpu", "--no-control", "--metrics", "accuracy")
    for folder, formats in (("png", ["PNG"]), ("75", ["JPEG, quality 75"]), ("95", ["JPEG, quality 95"])):
        printed = shell("measure", tmp_path / folder, *options)
        report = json.loads((tmp_path / f"{folder}-measure" / "report.json").read_text())
        assert report["protocol"]["formats"] == formats
        assert ("images are JPEG" in printed) == (folder != "png")
    against = ("--against", tmp_path / "png-measure" / "report.json")
    assert "formats" in shell.mistake("measure", tmp_path / "75", *options, *against)
    assert len(names) == 3


def test_clip_from_a_file_gives_cmmd_beside_the_control(
    shell: Shell, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small network stands for the published one."""
    small = replace(NETWORKS["clip"], network="vit_tiny_patch16_224", side=32, dim=24)
    monkeypatch.setitem(NETWORKS, "clip", small)
    names = small.build().state_dict()
    save_file(
        {name: torch.randn_like(value) * 0.1 for name, value in names.items()}, tmp_path / "clip.safetensors"
    )
    monkeypatch.setitem(NETWORKS, "clip", replace(small, read=lambda state, side: state))
    save_pictures(tmp_path / "made", packed, shift=1)
    options = (
        "--reference",
        packed,
        "--features",
        "clip",
        "--weights",
        f"clip={tmp_path / 'clip.safetensors'}",
    )
    out = tmp_path / "o"
    shell("measure", tmp_path / "made", "--out", out, "--device", "cpu", *options, "--metrics", "cmmd", "fd")
    report = json.loads((out / "report.json").read_text())
    figure = report["figures"]["cmmd"]
    assert figure["measured"]["value"] == pytest.approx(figure["real"]["value"], rel=1e-6), "blind to styles"
    per_style = zip(figure["measured"]["per_style"], figure["real"]["per_style"], strict=True)
    assert all(wrong > right for wrong, right in per_style)
    assert figure["control"]["value"] > 0
    digest = hashlib.sha256((tmp_path / "clip.safetensors").read_bytes()).hexdigest()[:8]
    assert digest in report["protocol"]["features"]["clip"]
    said = shell.mistake(
        "measure", tmp_path / "made", "--reference", packed, "--metrics", "cmmd", "--out", out
    )
    assert "cmmd is taken of CLIP's features: add --features clip" in said


@pytest.fixture(scope="module")
def unlabelled(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unlabelled")
    (folder / "flat").mkdir()
    for path in pictures.glob("*/*.png"):
        (folder / "flat" / f"{path.parent.name}-{path.name}").write_bytes(path.read_bytes())
    pack(folder / "flat", folder / "packed", PackConfig(resolution=16, test_fraction=0.3))
    return folder / "packed"


def test_measure_without_styles(shell: Shell, unlabelled: Path, run: Path, tmp_path: Path) -> None:
    """Real images without styles allow all metrics that need no label, of generators with and without."""
    metrics = ("--metrics", "fd", "accuracy", "prdc", "diversity", "copies", "ppl", "truncation")
    options = ("--reference", unlabelled, "--per-style", "8", *metrics)
    found = measured(shell, save_untrained(tmp_path / "run", ()), tmp_path / "o", *options)
    assert {"fd", "precision", "diversity", "copies", "ppl"} <= found["figures"].keys()
    assert found["style_names"] == []
    assert found["figures"]["ppl"]["measured"]["value"] > 0
    assert [point["x"] for point in found["curves"]["truncation"]][-1] == 1
    assert found["notes"] == ["accuracy: It takes 2 styles or more, and there are 0."]
    assert (tmp_path / "o" / "nearest-to-a-training-image.png").is_file()
    of_styles = measured(shell, run, tmp_path / "p", *options)
    assert of_styles["figures"].keys() == found["figures"].keys()
    assert of_styles["notes"] == found["notes"]


def test_broken_images_are_named_and_the_others_measured(shell: Shell, packed: Path, tmp_path: Path) -> None:
    save_pictures(tmp_path / "made", packed)
    broken, *others = sorted((tmp_path / "made").rglob("*.png"))
    broken.write_bytes(broken.read_bytes()[:60])
    options = ("--reference", packed, "--metrics", "fd", "--out", tmp_path / "o", "--device", "cpu")
    said = shell.mistake("measure", tmp_path / "made", *options, "--no-control")
    assert f"{broken.name}' cannot be read as an image" in said
    assert f"1 of {len(others) + 1} images were left out" in said
    report = json.loads((tmp_path / "o" / "report.json").read_text())
    assert broken.name in report["notes"][0]
    assert sum(report["protocol"]["images_per_style"]) == len(others)


def test_training_images_of_styles_are_in_the_order_of_the_reference(packed: Path) -> None:
    class Pixels:
        name, protocol, dim, standardised = "pixels", "pixels", 768, False

        def __call__(self, images: torch.Tensor) -> torch.Tensor:
            return images.flatten(1).float()

        def control(self) -> "Pixels":
            return self

    train = load_dataset(packed, "train")
    stored = Stored(images=train.images, styles=train.styles)
    reference = build_reference(stored, stored, train.style_names, "f", [Pixels()], control=False)
    for names in (train.style_names, train.style_names[:0:-1], ()):
        features = reference.restricted_to(names).spaces[0].raw_train.features
        assert torch.equal(images_of_styles(train, names).flatten(1).float(), features)


def test_mistakes_in_measure(shell: Shell, packed: Path, run: Path, tmp_path: Path) -> None:
    plain = ("--reference", packed, "--device", "cpu", "--no-control")
    assert "no extractor 'inceptoin'" in shell.mistake("measure", run, *plain, "--features", "inceptoin")
    assert "give --reference" in shell.mistake("measure", run, "--device", "cpu")
    missing = ("--features", "inception", "--weights", f"inception={tmp_path / 'absent.pth'}")
    assert "absent.pth', and there is no such file" in shell.mistake("measure", run, *plain, *missing)
    said = shell.mistake("measure", run, *plain, "--metrics", "content")
    assert "no metric 'content' of a run, which is one of pairs" in said
    assert "ppl, truncation." in said
    for weights in ("inception", "alexnet=x.pth"):
        said = shell.mistake("measure", run, *plain, "--weights", weights)
        assert f"--weights has '{weights}': write NAME=PATH" in said
    renamed = shell.mistake("measure", run, *plain, "--inception-weights", "x.pth")
    assert "--inception-weights is now called --weights inception=PATH" in renamed
    (tmp_path / "pairs.csv").write_text("output,content,style\na.png,b.png,x\n")
    assert "b.png' does not exist" in shell.mistake("measure", tmp_path / "pairs.csv", *plain)
    for out in (tmp_path / "pairs.csv", tmp_path / "pairs.csv" / "below"):
        assert "pairs.csv' is a file: name a folder" in shell.mistake("measure", run, *plain, "--out", out)
    for device in ("meta", "cpu:5", "cuda:99"):
        assert device in shell.mistake("measure", run, "--reference", packed, "--device", device)
    (tmp_path / "s.npz").write_text("no archive")
    assert "s.npz" in shell.mistake("measure", run, "--reference", tmp_path / "s.npz", "--device", "cpu")
