"""The page of a run has its samples over time, curves, report and commands, and grows with the folder."""

import json
import re
from pathlib import Path

import pytest
from PIL import Image

from brushwork.eval.report.gallery import SHOWN, write_gallery


def save(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4), "red").save(path)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    run = tmp_path / "a <run>"
    for nimg in range(10_000, 310_000, 10_000):
        save(run / "samples" / f"{nimg:09d}-{16 if nimg < 50_000 else 32}px.png")
        save(run / "samples" / f"{nimg:09d}-32px-restyled.png")
    save(run / "samples" / "augmented.png")
    lines = [
        {"nimg": 300_000, "loss_g": 1.0, "resolution": 32, "seconds": 90.0},
        {"nimg": 300_000, "fd": 5.0},
    ]
    (run / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (run / "config.json").write_text(json.dumps({"config": {"data": "datasets/my emoji"}}))
    return run


def headings(run: Path) -> list[str]:
    return re.findall("<h2>(.*?)</h2>", (run / "index.html").read_text())


def test_samples_over_time_and_commands(run: Path) -> None:
    write_gallery(run)
    text = (run / "index.html").read_text()
    assert "<h1>a &lt;run&gt;</h1>" in text
    assert "300.0 kimg at 32 px in 1.5 minutes" in text
    assert headings(run) == ["The newest samples", "Over time", "How to go on"]
    captions = re.findall("<figcaption>(.*?)</figcaption>", text)
    assert len(captions) == SHOWN
    assert captions[0] == "10.0 kimg, 16 px"
    images = re.findall('src="(.*?)"', text)
    assert images[0] == "samples/000300000-32px.png"
    assert all((run / image).is_file() for image in images)
    assert not any("augmented" in image or "restyled" in image for image in images)
    assert "--reference &#x27;datasets/my emoji&#x27;" in text
    assert "<script" not in text


def test_curves_report_and_generated_images_are_shown_once_they_are_there(run: Path) -> None:
    save(run / "curves.png")
    save(run / "generated" / "grid.png")
    (run / "measure").mkdir()
    (run / "measure" / "report.html").write_text("")
    write_gallery(run)
    assert headings(run) == [
        "The newest samples", "Measured", "Over time", "Figures", "Generated", "How to go on"
    ]  # fmt: skip
    assert 'href="measure/report.html"' in (run / "index.html").read_text()


def test_a_folder_without_samples_gets_no_page_and_a_broken_log_does_no_harm(
    tmp_path: Path, run: Path
) -> None:
    write_gallery(tmp_path)
    assert not (tmp_path / "index.html").exists()
    (run / "metrics.jsonl").write_text("{broken")
    (run / "config.json").unlink()
    write_gallery(run)
    assert "--reference DATASET" in (run / "index.html").read_text()
