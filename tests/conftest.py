"""Shapes in signatures are checked while the tests run; threads are few so that runs are repeatable."""

import os

os.environ.setdefault(
    "OMP_NUM_THREADS", "1"
)  # as many processes as cores run the tests; more threads only spin
os.environ.setdefault("WANDB_MODE", "disabled")
os.environ.setdefault("MPLBACKEND", "Agg")

from jaxtyping import install_import_hook

install_import_hook(["brushwork.models", "brushwork.training", "brushwork.eval"], "beartype.beartype")
