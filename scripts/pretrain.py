"""Pretrain a generator on pictures alone, without labels."""

from brushwork.training.prepare.pretraining import pretraining
from brushwork.training.preset_files import read_preset
from brushwork.training.presets import PRESETS

from .train import launch

DESCRIPTION = """Pretrain the generator of a preset, with encoders, on pictures alone: it learns to rebuild
them (with --generator.content-latent as a variational autoencoder), and that two crops of a picture share a
style. Labels are not looked at. A run starts from it with --start-from and the same generator options.

On a processor, in five minutes:
    brushwork pretrain emoji-32 --data datasets/emoji-32 --out runs/pretrained --max-minutes 5
    brushwork train emoji-32 --data datasets/emoji-32 --out runs/emoji --start-from runs/pretrained
"""


def door() -> None:
    """Trains what `pretraining` makes of any preset."""
    prepared = {name: (text, pretraining(config)) for name, (text, config) in PRESETS.items()}
    launch(prepared, lambda path: pretraining(read_preset(path)), DESCRIPTION)


if __name__ == "__main__":
    door()
