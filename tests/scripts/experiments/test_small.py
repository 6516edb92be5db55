"""The tables of `reproduce small` have every complete run, of each collection and number of images."""

import json
from pathlib import Path
from typing import Any

import pytest

from brushwork.scripts.bench.harness import Table
from brushwork.scripts.experiments import across_collections, small

from ...conftest import Shell


def test_each_collection_and_number_of_images_has_a_table(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[across_collections.Arguments] = []
    asked: list[across_collections.Arguments] = []
    monkeypatch.setattr(across_collections, "run_experiment", ran.append)
    monkeypatch.setattr(across_collections, "complete", lambda args: asked.append(args) or [args.images])

    def brief(results: list[Any], collection: str) -> Table:
        return Table(title=collection, header=("", "images"), rows=[(collection, str(results[0]))])

    monkeypatch.setattr(small, "brief_table", brief)
    out, results = tmp_path / "runs", tmp_path / "results"
    shell("reproduce", "small", "--out", out, "--results", results, "--variants", "default", "--seeds", "2")
    assert [(args.images, args.out.name, args.seeds) for args in ran] == [
        (60, "60-images", 2), (200, "200-images", 2),
    ]  # fmt: skip
    assert {args.variants for args in ran} == {("default",)}
    assert {args.sources for args in ran} == {out / "sources"}
    assert {args.variants for args in asked} == {small.VARIANTS}, "also those of earlier calls"
    found = json.loads((results / "small.json").read_text())
    assert list(found["tables"]) == ["solar-60", "photographs-60", "solar-200", "photographs-200"]
    assert found["tables"]["solar-200"]["rows"] == [["solar", "200"]]
