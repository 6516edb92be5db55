"""What is known of one complete run: how far its training went, and its figures."""

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from brushwork.scripts.experiments.collection_measurement import CURVE_FILE, FINAL_FILE
from brushwork.scripts.experiments.collection_runs import FINISHED, Run, seconds_at, snapshots
from brushwork.training.run.run_folder import RunFolder

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Result:
    """What is known of one complete run."""

    run: Run

    @cached_property
    def curve(self) -> Json:
        return json.loads((self.run.folder / CURVE_FILE).read_text())

    @cached_property
    def final(self) -> Json:
        return json.loads((self.run.folder / FINAL_FILE).read_text())

    @property
    def facts(self) -> Json:
        """How far the training went, and how fast."""
        folder, images = self.run.folder, list(snapshots(self.run.folder))[-1]
        seconds, stored = seconds_at(images, folder), RunFolder(folder).read()
        ended = json.loads((folder / FINISHED).read_text())
        return {
            "reason": ended["reason"], "images": images, "minutes": seconds / 60,
            "img_per_s": images / seconds if seconds else None,
            "precision": stored.facts.precision if stored else None,
        }  # fmt: skip

    def to_json(self) -> Json:
        run = self.run
        return {
            "collection": run.collection, "variant": run.variant, "seed": run.seed, **self.facts,
            "curve": self.curve, "final": self.final,
        }  # fmt: skip
