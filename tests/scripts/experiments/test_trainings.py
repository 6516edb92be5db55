"""Experiments that train: all of them in seconds on toy images, and what they share."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from brushwork.data.folder import scan_folder
from brushwork.data.split import split_of
from brushwork.eval.sources import Stored
from brushwork.models.generator import Generator
from brushwork.scripts.bench.toy import write_toy
from brushwork.scripts.experiments import EXPERIMENTS, inversion, training_runs, trainings
from brushwork.scripts.experiments.documented import QUICK, command_of
from brushwork.scripts.experiments.packed_collections import copy_some
from brushwork.scripts.experiments.training_runs import Run, generate, require_same
from brushwork.scripts.experiments.training_tables import figure_of, mean_and_deviation
from brushwork.scripts.experiments.trainings import TrainingArguments, planned, quickly, run_trainings
from brushwork.scripts.experiments.variants import VARIANTS
from brushwork.training.errors import Diverged, TrainingError
from brushwork.training.presets import emoji_32, toy
from brushwork.training.trainer import Outcome, Trainer

from ...conftest import Shell

TRAININGS = ("demo", "across-collections", "recipe", "small", "restyling", "labels")
FOLDER = QUICK.parent / "experiments" / "emoji-32" / "toy-10min"


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
            self.done.append("/".join(job.folder.parts[-3:]))
            finished(job)


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> InProcess:
    """In a folder of its own, with few samples by one evaluator."""
    here = InProcess()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(trainings, "run_side_by_side", here)
    monkeypatch.setattr(training_runs, "default_extractors", lambda: ("efficientnet-lite0",))
    monkeypatch.setattr(training_runs, "CURVE_SAMPLES", 6)
    monkeypatch.setattr(training_runs, "FINAL_SAMPLES", 8)
    return here


def results(name: str) -> dict[str, Any]:
    return json.loads((QUICK / f"{name}.json").read_text())["tables"]


def test_every_experiment_runs_in_seconds_and_shares_runs(in_process: InProcess, shell: Shell) -> None:
    for name in TRAININGS:
        assert name in EXPERIMENTS
        shell("reproduce", name, "--quick")
        (key, table), *more = results(name).items()
        assert not more
        assert (key, table["made"]["command"]) == ("toy-60" if name == "small" else "toy",
                                                   f"brushwork reproduce {name} --quick")  # fmt: skip
        assert len(table["data"]["runs"]) == len(table["rows"]) - 1
        assert (QUICK / f"{name}.png").stat().st_size > 10_000
        assert (QUICK / f"{name}-{key}.png").is_file()
    toy, few = "emoji-32/toy-10min", "emoji-32/toy-60-10min"
    assert in_process.done == [
        f"{toy}/default-0", f"{toy}/logistic-0", f"{few}/default-0", f"{few}/diffaugment-0",
        "emoji-32-restyle/toy-10min/default-0", "emoji-32-restyle/toy-10min/no-classifier-0",
        f"{toy}/one-label-in-ten-0",
    ]  # fmt: skip
    _check(results("recipe")["toy"])
    restyling = results("restyling")["toy"]
    assert restyling["header"][3:6] == [
        "style accuracy", "distance to the real drawing", "nearer than both baselines",
    ]  # fmt: skip
    *_, unchanged = restyling["rows"]
    assert (unchanged[0], unchanged[5], unchanged[6]) == ("content unchanged", "0", "0")


def _check(table: dict[str, Any]) -> None:
    assert [row[:2] for row in table["rows"]] == [["default", "1"], ["logistic", "1"], ["held-out real", ""]]
    assert "16 samples" in table["notes"][0]
    for record, row in zip(table["data"]["runs"], table["rows"], strict=False):
        assert (record["images"], record["reason"], record["precision"]) == (64, "finished", "fp32")
        assert record["minutes"] * 60 * record["img_per_s"] == pytest.approx(64)
        minutes = [point["minutes"] for point in record["curve"]]
        assert minutes == sorted(minutes)
        assert len(minutes) == 4
        figures = record["figures"]["measured"]
        assert {"fd", "kid", "recall", "coverage", "accuracy", "copies", "diversity"} <= set(figures)
        assert row[3].startswith(f"{figures['fd']:.0f} / ")


def test_a_stopped_experiment_goes_on_with_finished_runs_as_they_are(in_process: InProcess) -> None:
    asked = TrainingArguments(quick=True, variants=("default", "ada"))
    in_process.most = 1  # as if it was killed after the first run
    run_trainings("recipe", asked)
    assert [row[0] for row in results("recipe")["toy"]["rows"]] == ["default", "held-out real"]
    before = {path: path.stat().st_mtime_ns for path in (FOLDER / "default-0").rglob("*") if path.is_file()}
    in_process.most = 100
    run_trainings("recipe", asked)
    assert in_process.done == ["emoji-32/toy-10min/default-0", "emoji-32/toy-10min/ada-0"]
    assert before == {
        path: path.stat().st_mtime_ns for path in (FOLDER / "default-0").rglob("*") if path.is_file()
    }


def test_inversion_shares_the_runs_and_keeps_what_is_measured(
    in_process: InProcess, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    methods = {name: inversion.METHODS[name] for name in ("W", "W+")}
    monkeypatch.setattr(inversion, "METHODS", methods)
    monkeypatch.setattr(inversion, "OTHERS", 5)
    shell("reproduce", "inversion", "--quick", "--pictures", "1")
    assert in_process.done == ["emoji-32/toy-10min/default-0"]
    table = results("inversion")["emoji-32"]
    titles = [row[0] for row in table["rows"]]
    assert titles == ["W", "W+", "nearest training image", "start of W+", "random code"]
    (figures,) = table["data"]["runs"]
    assert 0 <= figures["W"]["samples"]["recovered"] <= 1
    own = figures["W+"]["held-out"]["efficientnet-lite0"]
    assert own["inverted"] < own["random"]
    monkeypatch.setattr(inversion, "measured", None)  # all is known
    shell("reproduce", "inversion", "--quick", "--pictures", "1")
    assert results("inversion")["emoji-32"]["rows"] == table["rows"]


def test_transfers_start_from_a_run_on_another_collection(in_process: InProcess) -> None:
    asked = TrainingArguments(quick=True, collections=("solar",), images=(8,), variants=("transfer-auto",))
    run_trainings("small", asked)
    assert in_process.done == ["emoji-32/toy-10min/default-0", "emoji-32/toy-8-10min/transfer-auto-0"]
    (run,) = planned(quickly(asked), "toy", 8)
    assert run.config.start_from == FOLDER / "default-0"
    assert run.config.optimizer.frozen_blocks == 2
    assert command_of("small", asked) == (
        "brushwork reproduce small --collections solar --images 8 --variants transfer-auto --quick"
    )


def test_in_minutes_auto_is_the_preset(packed: Path) -> None:
    base = emoji_32()
    generator = replace(base.generator, resolution=16)
    auto = VARIANTS["auto"](replace(base, data=packed, max_minutes=1.0, generator=generator))
    for name in ("loss", "augment", "optimizer", "ema", "batch", "loader", "discriminator"):
        assert getattr(auto, name) == getattr(base, name)


def test_few_images_of_each_style_are_those_of_the_same_subjects_in_both_splits(tmp_path: Path) -> None:
    write_toy(tmp_path / "toy", styles=3, subjects=60, size=16)
    copy_some(tmp_path / "toy", tmp_path / "some", 20)
    scan = scan_folder(tmp_path / "some")
    subjects = [{file.subject for file in scan.files if file.style == style} for style in range(3)]
    assert subjects[0] == subjects[1] == subjects[2]
    assert len(subjects[0]) == 20
    assert 0 < sum(split_of(subject) == "test" for subject in subjects[0]) < 10


def test_runs_that_diverge_before_a_snapshot_are_named_and_left_out(
    in_process: InProcess, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = Trainer.run

    def run(trainer: Trainer) -> Outcome:
        if trainer.config.loss.gan_loss == "relativistic":
            trainer.folder.let_go()
            raise Diverged("the loss is not finite")
        return sound(trainer)

    monkeypatch.setattr(Trainer, "run", run)
    for _ in range(2):  # it is not trained again
        with pytest.raises(TrainingError, match=r"All runs in .* diverged before their first snapshot"):
            run_trainings("demo", TrainingArguments(quick=True))
    words = "default-0: diverged before its first snapshot, so there is nothing to measure"
    assert capsys.readouterr().out.count(words) == 2
    run_trainings("recipe", TrainingArguments(quick=True, variants=("default", "logistic")))
    assert [run["variant"] for run in results("recipe")["toy"]["data"]["runs"]] == ["logistic"]


def test_a_snapshot_is_measured_once(in_process: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    (run,) = planned(quickly(TrainingArguments(quick=True)), "toy", 0)
    drawn: list[Sequence[int]] = []

    def counted(generator: Generator, counts: Sequence[int]) -> Stored:
        drawn.append(counts)
        if len(drawn) == 3:
            raise KeyboardInterrupt
        return generate(generator, counts)

    monkeypatch.setattr(training_runs, "generate", counted)
    with pytest.raises(KeyboardInterrupt):
        training_runs.train_and_measure(run)
    assert (run.is_finished, run.is_complete) == (True, False)
    points = json.loads((run.folder / training_runs.MEASURED).read_text())["points"]
    assert len(points) == 2
    assert training_runs.train_and_measure(run)
    assert drawn[3:] == [[6, 6]] * (len(run.snapshots) - 2) + [[8, 8]], "the rest of the curve, and the end"
    assert {nimg: run.measured["points"][nimg] for nimg in points} == points
    assert run.is_complete
    monkeypatch.setattr(training_runs, "FINAL_SAMPLES", 9)  # another protocol
    assert not run.is_complete


def test_runs_of_another_configuration_are_refused(packed: Path, tmp_path: Path) -> None:
    config = replace(toy(), data=packed, out=tmp_path / "run")
    require_same(config)
    setup = {"precision": "fp32", "fingerprint": "other", "styles": [], "group": 4}
    config.out.mkdir()
    (config.out / "config.json").write_text(
        json.dumps({"config": asdict(config), "setup": setup}, default=str)
    )
    with pytest.raises(TrainingError, match=r"data: .*packed there was packed of other images"):
        require_same(config)
    with pytest.raises(TrainingError, match=r"(?s)another --out.*batch: 8 there, 4 here.*total_kimg: 0.4"):
        require_same(replace(config, batch=4, total_kimg=1.0))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"preset": "emoji-33"}, "no preset 'emoji-33'"),
        ({"collections": ("coins",)}, "no collection 'coins': choose from emoji"),
        ({"variants": ("slow",)}, "no variant 'slow': choose from default, logistic"),
        ({"collections": ()}, "nothing to train"),
    ],
)
def test_unknown_names_and_nothing_to_do_are_refused(wrong: dict[str, Any], words: str) -> None:
    assert TrainingArguments().seeds, "the defaults are known"
    with pytest.raises(TrainingError, match=words):
        TrainingArguments(**wrong)


def test_means_deviations_and_worst_styles() -> None:
    assert mean_and_deviation([0.5, 0.25, None, 1.5]) == "0.75 ± 0.66"
    assert mean_and_deviation([2.0]) == "2.00"
    assert mean_and_deviation([]) == mean_and_deviation([math.nan, None]) == "–"
    samples, real = {"value": 0.5, "per_style": [0.75, 0.25]}, {"value": 0.7, "per_style": [0.8, 0.6]}
    figures = {name: {"measured": samples, "real": real} for name in ("recall", "precision")}
    modes, real_modes = (
        {"found": {"a": n, "b": 20}, "recognised": {"a": 0.5, "b": 0.25}} for n in (60, 64)
    )  # fmt: skip
    restyled = {"measured": {"truth": 0.5}, "unchanged": {"truth": 0.75}}
    final = {
        "measures": {"figures": figures}, "modes": modes, "real_modes": real_modes, "restyled": restyled,
    }  # fmt: skip
    expected = {
        "recall": (0.25, 0.6, None), "precision": (0.5, 0.7, None), "found": (20, 20, None),
        "recognised": (0.375, 0.375, None), "accuracy": (None, None, None),
        "restyled_truth": (0.5, None, 0.75),
    }  # fmt: skip
    for name, values in expected.items():
        sides = ("measured", "real", "unchanged")
        assert tuple(figure_of(name, final, side) for side in sides) == values, name
    assert figure_of("found", {"measures": {"figures": {}}}, "real") is None


def test_minutes_scale_the_schedule_and_its_growing_alike(tmp_path: Path) -> None:
    base = emoji_32()
    for minutes, factor in ((0.5, 1.0), (25.0, 25.0)):
        config = training_runs.run_config(base, data=tmp_path, out=tmp_path, seed=1, minutes=minutes)
        assert config.total_kimg == factor * base.total_kimg
        assert config.growing == base.growing.scaled(factor)


def test_seconds_at_an_image_are_interpolated_between_log_lines(tmp_path: Path) -> None:
    lines = ({"nimg": 100, "seconds": 10.0}, {"nimg": 100, "fd": 1.0}, {"nimg": 300, "seconds": 50.0})
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    seconds = [training_runs.seconds_at(nimg, tmp_path) for nimg in (0, 50, 150, 300, 400)]
    assert seconds == [0, 5, 20, 50, 50]


def test_every_style_has_its_number_of_samples() -> None:
    generator = Generator(toy().generator, ("a", "b"))
    samples = generate(generator, [3, 5])
    assert samples.styles.tolist() == [0] * 3 + [1] * 5
    more = generate(generator, [4, 5])
    assert torch.equal(samples.images[:3], more.images[:3])
    assert torch.equal(samples.images[3:], more.images[4:])
