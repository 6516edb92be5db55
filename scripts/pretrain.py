"""Pretrain a generator on images alone, without labels."""

from brushwork.scripts.train import launch
from brushwork.training.prepare.pretraining import pretraining
from brushwork.training.preset_files import read_preset
from brushwork.training.presets import PRESETS

DESCRIPTION = """Pretrain the generator of a preset, with encoders, on images without labels. It learns to
reconstruct them (with --generator.content-vae-channels as a variational autoencoder), and to give two crops
of one image the same style. A run with the same generator options starts from it with --start-from.

On a processor, in five minutes, and a run that starts from it:
    brushwork pretrain emoji-32 --data datasets/emoji-32 --out runs/pretrained --max-minutes 5
    brushwork train emoji-32 --data datasets/emoji-32 --out runs/started --start-from runs/pretrained
"""


def main() -> None:
    """Pretrain for any preset."""
    prepared = {name: (text, pretraining(config)) for name, (text, config) in PRESETS.items()}
    launch(prepared, lambda path: pretraining(read_preset(path)), DESCRIPTION)


if __name__ == "__main__":
    main()
