"""Two tiny collections, two variants, one seed: trained and measured once, and reported."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from brushwork.data.curate.pack import PackConfig, pack
from brushwork.data.folder import scan_folder
from brushwork.data.split import split_of
from brushwork.eval.report.tables import number
from brushwork.eval.sources import Stored
from brushwork.models.generator import Generator
from brushwork.scripts.bench.toy import write_toy
from brushwork.scripts.experiments import across_collections, collection_runs
from brushwork.scripts.experiments.across_collections import (
    Arguments,
    complete,
    planned,
    run_experiment,
    transfer_sources,
)
from brushwork.scripts.experiments.collection_report import brief_table, median_and_range, value_of
from brushwork.scripts.experiments.collection_runs import VARIANTS, Run, copy_some, generate, require_same
from brushwork.training.config import IntervalConfig, TrainConfig
from brushwork.training.errors import Diverged, TrainingError
from brushwork.training.presets import emoji_32, toy
from brushwork.training.schedules import GrowingConfig
from brushwork.training.trainer import Outcome, Trainer

TINY = replace(
    toy(), total_kimg=0.08, precision="fp32", device="cpu", growing=GrowingConfig(start_resolution=16),
    interval=IntervalConfig(status_kimg=0.016, grid_kimg=0.0, checkpoint_kimg=0.0, snapshot_kimg=0.0),
)  # fmt: skip
Plan = Callable[..., list[Run]]
NARROW: dict[str, Callable[[TrainConfig], TrainConfig]] = {
    "default": VARIANTS["default"],
    "slow": lambda config: replace(
        config, optimizer=replace(config.optimizer, generator_lr=5e-4, discriminator_lr=5e-4)),
    "transfer": VARIANTS["transfer"],
    "transfer-auto": VARIANTS["transfer-auto"],
}  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for seed, name in enumerate(("first", "second")):
        write_toy(folder / name, styles=2, subjects=20, size=16, seed=seed)
        pack(folder / name, folder / f"{name}-16", PackConfig(resolution=16, test_fraction=0.3))
    return folder


@pytest.fixture
def plan(data: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    for name, value in (
        ("COLLECTIONS", ("first", "second")),
        ("VARIANTS", NARROW),
        ("PRESETS", {"tiny": ("", TINY)}),
        ("packed", lambda name, folder, images=0: folder / f"{name}-16"),
        ("fetch_hed_vgg16", lambda: None),
    ):
        monkeypatch.setattr(across_collections, name, value)
    small = {
        "SIDE": 16,
        "POINTS": 3,
        "EVALUATORS": ("efficientnet-lite0",),
        "CURVE_SAMPLES": 6,
        "FINAL_SAMPLES": 8,
    }
    for name, value in small.items():
        monkeypatch.setattr(collection_runs, name, value)

    def plan(out: Path, **changes: Any) -> list[Run]:
        args = arguments(data, out, **changes)
        sources = {run.collection: run.folder for run in transfer_sources(args, TINY)}
        return planned(args, TINY, sources)

    return plan


def arguments(data: Path, out: Path, **changes: Any) -> Arguments:
    plain: dict[str, Any] = {
        "preset": "tiny", "collections": ("first", "second"), "variants": ("default", "slow"), "seeds": 1,
        "minutes": 1.0, "data": data, "out": out,
    }  # fmt: skip
    return Arguments(**(plain | changes))


@dataclass
class InProcess:
    """Replaces `run_side_by_side`: runs up to `most` jobs in this process."""

    done: list[str] = field(default_factory=list)
    most: int = 100

    def __call__(
        self, work: Callable[[Run], bool], jobs: Mapping[Path, Run], _: int, finished: Callable[[Run], object]
    ) -> None:
        for job in list(jobs.values())[: self.most]:
            assert work(job)
            self.done.append(job.folder.name)
            finished(job)


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> InProcess:
    here = InProcess()
    monkeypatch.setattr(across_collections, "run_side_by_side", here)
    return here


def test_the_experiment_goes_on_and_shares_finished_runs(
    plan: Plan, in_process: InProcess, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_process.most = 1  # as if it was killed after the first run
    run_experiment(arguments(data, tmp_path))
    first = tmp_path / "first-default-0"
    report = json.loads((tmp_path / "results.json").read_text())
    (found,) = report["runs"]
    assert (found["collection"], found["variant"], found["seed"]) == ("first", "default", 0)
    assert (tmp_path / "curves.png").stat().st_size > 10_000
    before = {path: path.stat().st_mtime_ns for path in first.rglob("*") if path.is_file()}
    in_process.most = 100
    with monkeypatch.context() as patched:
        patched.setattr(across_collections, "write_report", lambda *_: None)  # it takes a second
        run_experiment(arguments(data, tmp_path))
    assert in_process.done == ["first-default-0", "first-slow-0", "second-default-0", "second-slow-0"]
    assert before == {path: path.stat().st_mtime_ns for path in first.rglob("*") if path.is_file()}
    run_experiment(arguments(data, tmp_path, collections=("second",), variants=("slow",)))
    assert len(json.loads((tmp_path / "results.json").read_text())["runs"]) == 1
    run_experiment(arguments(data, tmp_path))  # of both collections again
    _check_report(tmp_path, plan(tmp_path))
    with pytest.raises(TrainingError, match=r"max_minutes: 1.0 there, 0.5 here"):
        run_experiment(arguments(data, tmp_path, minutes=0.5))
    results = complete(arguments(data, tmp_path, variants=("default", "slow", "transfer")))
    names = [(each.run.collection, each.run.variant, each.run.seed) for each in results]
    assert names == [(c, v, 0) for c in ("first", "second") for v in ("default", "slow")]
    assert complete(arguments(data, tmp_path, minutes=0.5)) == [], "of another configuration"
    brief = brief_table(results, "second")
    assert [row[:2] for row in brief.rows] == [("default", "1"), ("slow", "1"), ("held-out real", "")]
    fd = results[2].measured["final"]["measures"]["figures"]["fd"]
    assert brief.rows[0][3] == f"{number(fd['measured']['value'], 3)} / –"
    assert brief.rows[2][3] == f"{number(fd['real']['value'], 3)} / –"
    assert len(in_process.done) == 4


def test_transfers_start_from_a_run_on_another_collection(
    plan: Plan, in_process: InProcess, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(across_collections, "SOURCES", {"second": "first"})
    one: dict[str, Any] = {"collections": ("second",), "variants": ("transfer", "default", "transfer-auto")}
    run_experiment(arguments(data, tmp_path, **one))
    assert in_process.done == [
        "first-source-0", "second-transfer-0", "second-default-0", "second-transfer-auto-0",
    ]  # fmt: skip
    transfer, default, auto = (run.config for run in plan(tmp_path, **one))
    assert (transfer.start_from, default.start_from) == (tmp_path / "first-source-0", None)
    assert (auto.start_from, auto.optimizer.frozen_blocks) == (transfer.start_from, 2)
    assert auto.generator == transfer.generator
    assert len(json.loads((tmp_path / "results.json").read_text())["runs"]) == 3


def test_in_minutes_auto_is_the_preset_and_a_transfer_with_frozen_blocks(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collection_runs, "SIDE", 16)
    asked = replace(emoji_32(), data=data / "first-16", max_minutes=1.0)
    auto = VARIANTS["auto"](asked)
    for name in ("loss", "augment", "optimizer", "ema", "batch", "loader", "discriminator"):
        assert getattr(auto, name) == getattr(emoji_32(), name)


def test_few_images_of_each_style_are_those_of_the_same_subjects_in_both_splits(tmp_path: Path) -> None:
    write_toy(tmp_path / "toy", styles=3, subjects=60, size=16)
    copy_some(tmp_path / "toy", tmp_path / "some", 20)
    scan = scan_folder(tmp_path / "some")
    subjects = [{file.subject for file in scan.files if file.style == style} for style in range(3)]
    assert subjects[0] == subjects[1] == subjects[2]
    assert len(subjects[0]) == 20
    assert 0 < sum(split_of(subject) == "test" for subject in subjects[0]) < 10


def _check_report(folder: Path, runs: list[Run]) -> None:
    report = json.loads((folder / "results.json").read_text())
    assert "torch" in report["machine"]["versions"]
    for run, found in zip(runs, report["runs"], strict=True):
        assert found["variant"] == run.variant
        assert (found["images"], found["reason"], found["precision"]) == (80, "finished", "fp32")
        assert found["minutes"] * 60 * found["img_per_s"] == pytest.approx(80)
        points = found["points"]
        assert list(points) == [str(nimg) for nimg in run.snapshots]
        minutes = [point["minutes"] for point in points.values()]
        assert len(minutes) == 4
        assert minutes == sorted(minutes)
        assert len(found["real"]["recall"]) == 2
        assert found["final"]["samples"] == [8, 8]
        figures = found["final"]["measures"]["figures"]
        assert {"fd", "kid", "recall", "coverage", "accuracy", "copies", "diversity"} <= set(figures)
        assert "the training images alone" in found["final"]["measures"]["protocol"]["against"]
    table = (folder / "table.md").read_text()
    rows = [[cell.strip() for cell in line.split("|")[1:4]] for line in table.splitlines() if line[:1] == "|"]
    kinds = (["default", "1"], ["slow", "1"], ["held-out real", ""])
    assert rows[2:] == [[name, *kind] for name in ("first", "second") for kind in kinds]
    assert len(list(folder.glob("grid-*-*.png"))) == 4


def test_runs_that_diverge_before_a_snapshot_are_named_and_left_out(
    plan: Plan, in_process: InProcess, data: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    plan(tmp_path)
    sound = Trainer.run

    def run(trainer: Trainer) -> Outcome:
        if trainer.config.seed == 0:
            trainer.folder.let_go()
            raise Diverged("the loss is not finite")
        return sound(trainer)

    monkeypatch.setattr(Trainer, "run", run)
    one = {"collections": ("first",), "variants": ("default",)}
    for _ in range(2):  # it is not trained again
        with pytest.raises(TrainingError, match=r"All runs in .* diverged before their first snapshot"):
            run_experiment(arguments(data, tmp_path, **one))
    words = "first-default-0: diverged before its first snapshot, so there is nothing to measure"
    assert capsys.readouterr().out.count(words) == 2
    run_experiment(arguments(data, tmp_path, **one, seeds=2))
    assert [run["seed"] for run in json.loads((tmp_path / "results.json").read_text())["runs"]] == [1]


def test_a_snapshot_is_measured_once(plan: Plan, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (run,) = plan(tmp_path, collections=("first",), variants=("default",))
    drawn: list[Sequence[int]] = []

    def counted(generator: Generator, counts: Sequence[int]) -> Stored:
        drawn.append(counts)
        if len(drawn) == 3:
            raise KeyboardInterrupt
        return generate(generator, counts)

    monkeypatch.setattr(collection_runs, "generate", counted)
    with pytest.raises(KeyboardInterrupt):
        collection_runs.train_and_measure(run)
    assert (run.is_finished, run.is_complete) == (True, False)
    points = json.loads((run.folder / collection_runs.MEASURED).read_text())["points"]
    assert len(points) == 2
    assert collection_runs.train_and_measure(run)
    assert drawn[3:] == [[6, 6]] * (len(run.snapshots) - 2) + [[8, 8]], "the rest of the curve, and the end"
    assert {nimg: run.measured["points"][nimg] for nimg in points} == points
    assert run.is_complete
    monkeypatch.setattr(collection_runs, "FINAL_SAMPLES", 9)  # another protocol
    assert not run.is_complete


def test_runs_of_another_configuration_are_refused(plan: Plan, tmp_path: Path) -> None:
    (run,) = plan(tmp_path, collections=("first",), variants=("default",))
    require_same(run.config)
    setup = {"precision": "fp32", "fingerprint": "other", "styles": [], "group": 4}
    stored = {"config": asdict(run.config), "setup": setup}
    run.folder.mkdir(parents=True)
    (run.folder / "config.json").write_text(json.dumps(stored, default=str))
    with pytest.raises(TrainingError, match=r"data: .*first-16 there was packed of other images"):
        require_same(run.config)
    with pytest.raises(TrainingError, match=r"(?s)another --out.*batch: 8 there, 4 here.*total_kimg: 0.08"):
        require_same(replace(run.config, batch=4, total_kimg=1.0))


def test_before_does_not_depend_on_the_preset(tmp_path: Path) -> None:
    change = VARIANTS["before"]
    kept = {"data": tmp_path, "out": tmp_path, "interval": toy().interval, "seed": 5}
    assert change(replace(toy(), **kept)) == change(replace(emoji_32(), **kept))
    assert change(toy()).discriminator.minibatch_std == "average"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"preset": "emoji-33"}, "no preset 'emoji-33'"),
        ({"collections": ("coins",)}, "no collection 'coins': choose from emoji"),
        ({"variants": ("slow",)}, "no variant 'slow': choose from default, before"),
        ({"collections": ()}, "nothing to train"),
    ],
)
def test_unknown_names_and_nothing_to_do_are_refused(wrong: dict[str, Any], words: str) -> None:
    assert Arguments().seeds, "the defaults are known"
    with pytest.raises(TrainingError, match=words):
        Arguments(**wrong)


def test_medians_and_worst_styles() -> None:
    assert median_and_range([0.5, 0.25, None, 1.0]) == "0.500 (0.250..1.00)"
    assert median_and_range([2.0]) == median_and_range([2.0, 2.0]) == "2.00"
    assert median_and_range([]) == median_and_range([math.nan, None]) == "–"
    samples, real = {"value": 0.5, "per_style": [0.75, 0.25]}, {"value": 0.7, "per_style": [0.8, 0.6]}
    figures = {name: {"measured": samples, "real": real} for name in ("recall", "precision")}
    modes, real_modes = {"found": {"a": 60, "b": 20}}, {"found": {"a": 64, "b": 63}}
    final = {"measures": {"figures": figures}, "modes": modes, "real_modes": real_modes}
    expected = {
        "recall, worst style": (0.25, 0.6), "precision": (0.5, 0.7), "modes, worst style": (20, 63),
        "modes, mean": (40, 63.5), "accuracy": (None, None),
    }  # fmt: skip
    for title, values in expected.items():
        assert (value_of(title, final, "measured"), value_of(title, final, "real")) == values, title
    assert value_of("modes, mean", {"measures": {"figures": {}}}, "real") is None


def test_minutes_scale_the_schedule_and_its_growing_alike(tmp_path: Path) -> None:
    base = emoji_32()
    for minutes, factor in ((0.5, 1.0), (25.0, 25.0)):
        config = collection_runs.run_config(base, data=tmp_path, out=tmp_path, seed=1, minutes=minutes)
        assert config.total_kimg == factor * base.total_kimg
        assert config.growing == base.growing.scaled(factor)


def test_seconds_at_an_image_are_interpolated_between_log_lines(tmp_path: Path) -> None:
    lines = ({"nimg": 100, "seconds": 10.0}, {"nimg": 100, "fd": 1.0}, {"nimg": 300, "seconds": 50.0})
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert [collection_runs.seconds_at(nimg, tmp_path) for nimg in (0, 50, 150, 300, 400)] == [
        0,
        5,
        20,
        50,
        50,
    ]


def test_every_style_has_its_number_of_samples() -> None:
    generator = Generator(toy().generator, ("a", "b"))
    samples = generate(generator, [3, 5])
    assert samples.styles.tolist() == [0] * 3 + [1] * 5
    more = generate(generator, [4, 5])
    assert torch.equal(samples.images[:3], more.images[:3])
    assert torch.equal(samples.images[3:], more.images[4:])
