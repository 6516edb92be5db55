"""Options and configuration fields that have another name now, or none.

On the command line they are refused with a sentence. A configuration file that has a removed field loads if
the field has its old default.
"""

import json
from typing import Any

from .errors import TrainingError
from .restyle.config import TERMS

Json = dict[str, Any]

FIELDS = {
    "every": "interval",
    "every.tick_kimg": "interval.status_kimg",
    "loss.turns": "loss.update_order",
    "loss.r1_every": "loss.r1_interval",
    "loss.pairing": "loss.gan_loss",
    "generator.content_latent": "generator.content_vae_channels",
    "restyle.by_picture": "restyle.exemplar_prob",
    "restyle.by_self": "restyle.self_style_prob",
    "restyle.hide_label": "restyle.label_dropout",
    "restyle.rebuild": "restyle.reconstruct",
    "restyle.divergence": "restyle.kl",
    "restyle.crops": "restyle.info_nce",
}
"""Old -> new dotted names of configuration fields."""

SAME_VALUES = {"loss.pairing": "gan_loss"}
"""Fields of FIELDS that files of the last version have; they load under the new name."""

REMOVED_TERMS = ("leak", "mean_std", "gram", "diversity", "rebuild_perceptual", "reconstruct_perceptual")
REMOVED: Json = {
    **{f"restyle.{term}.{field}": 0.0 for term in REMOVED_TERMS for field in ("weight", "rise_kimg")},
    **{f"restyle.{term}.fall_kimg": 0.0 for term in (*TERMS, *REMOVED_TERMS)},
    **{f"generator.{name}": [] for name in ("styled", "style_resolutions", "attention")},
    **{name: [] for name in ("generator.encoder_attention", "discriminator.attention")},
    **dict.fromkeys(("loss.condition_noise", "loss.ramp_start_kimg", "loss.ramp_end_kimg"), 0.0),
    **dict.fromkeys(("loader.rotate", "loader.scale", "loader.crop", "loader.shift"), 0.0),
    **dict.fromkeys(("optimizer.cooldown", "optimizer.lr_decay_fraction"), 0.0),
    **dict.fromkeys(("speed.keep_memory", "speed.retain_freed_memory", "speed.background"), True),
    **dict.fromkeys(("speed.fused", "speed.tf32"), True),
    "generator.content_erased": False, "speed.compile": "off", "loader.fill": "reflect",
    "optimizer.beta2": 0.99, "optimizer.eps": 1e-8, "labels.unlabelled": "keep",
    "restyle.pixels": "l1", "restyle.contrast_group": 8, "restyle.temperature": 0.2,
    "restyle.perception.network": "classifier", "restyle.perception.weights": None,
    "restyle.perception.taps": ["relu1_1", "relu2_1", "relu3_1"],
    "classifier.batch": 16, "classifier.lr": 0.01, "classifier.held_out": 0.1,
    "metrics.features": ["efficientnet-lite0"], "metrics.inception_weights": None,
    "metrics.restyled_contents": 120,
}  # fmt: skip
"""Removed configuration fields, by their dotted names, and their defaults of before."""

REMOVED_GROUPS = {"speed", "restyle.perception", *(f"restyle.{term}" for term in REMOVED_TERMS)}

LIKE = {"like": "style-image", "like-style": "style-image-label"}
OPTIONS = {
    "pack": {"near-bits": "", "strict": "", "duplicates": ""},
    "fetch": {"margin": "", "all-subjects": ""},
    "tune": {"every-kimg": "", "interval-kimg": "", "prune": ""},
    "sample": {**LIKE, "keep": "skip-existing", "cutoff": "", "mixing-layer": ""},
    "restyle": {
        **LIKE,
        "looks": "style-code content (before: own) or latent (before: drawn)",
        "blend": "style, with blends such as a=0.5+b=0.5",
    },
    "stylize": dict.fromkeys(("start-from", "lr", "adam-lr", "growth", "strength", "every", "interval"), ""),
    "measure": {
        **{f"{name}-weights": f"weights {name}=PATH" for name in ("hed-vgg16", "inception", "lpips")},
        **dict.fromkeys(("contents", "save-statistics", "vgg16-weights", "vgg19-weights"), ""),
    },
    "bench train": {"peer": "with-stylegan2"},
    "bench stylize": {"large": ""},
    "bench restyle": {"gatys.iterations": "gatys-evaluations"},
}
"""Old -> new names of other options by command, with the new form of the value; "" for removed ones."""

JSON_ONLY = {f"restyle.{term}.rise_kimg" for term in TERMS}
"""Fields that no command-line option sets."""
FROM_DATA = {f"generator.{name}" for name in ("base_height", "base_width", "channels")}
"""Fields that a run takes from its data set; no option sets them."""


def renamed(name: str, command: str = "") -> str | None:
    """The sentence for a name that is no longer valid, or not as an option; None for any other name.

    Args:
        name: a dotted field, or an option as typed.
        command: the verb that the option was typed for, and what follows it.
    """
    option, is_option = name.removeprefix("--"), name.startswith("--")
    removed = f"{name} was removed (docs/renames.md says why): leave it out."
    words, short = command.split(), option.removeprefix("no-")
    own = OPTIONS.get(" ".join(words[:2])) or OPTIONS.get(" ".join(words[:1]), {})
    if is_option and short in own:
        return f"{name} is now called --{own[short]}." if own[short] else removed
    if is_option and "." not in option:
        return None
    field = option.removeprefix("no-").replace("-", "_")
    old = next((prefix for prefix in _prefixes(field) if prefix in FIELDS), "")
    new = FIELDS[old] + field.removeprefix(old) if old else field
    if new in REMOVED or new in REMOVED_GROUPS:
        return removed
    if is_option and new in JSON_ONLY:
        return f"{name} is set in a JSON configuration only: {new}."
    if is_option and new in FROM_DATA:
        return f"{name} is decided by the data set: pack the images with the --aspect or --alpha you want."
    if not old:
        return None
    return f"{name} is now called {'--' + new.replace('_', '-') if is_option else new}."


def updated(content: bytes) -> bytes:
    """A JSON file whose entry `config` is a configuration, without the removed fields that have their old
    default. Text that is no such JSON comes back as it is.

    Raises:
        TrainingError: a removed field has another value, or a field has another name now.
    """
    try:
        tree = json.loads(content)
    except ValueError:
        return content
    if not isinstance(tree, dict) or not isinstance(tree.get("config"), dict):
        return content
    return json.dumps(tree | {"config": _updated(tree["config"])}).encode()


def _updated(group: Json, prefix: str = "") -> Json:
    kept: Json = {}
    for key, value in group.items():
        name = prefix + key
        if isinstance(value, dict) and value:
            if inner := _updated(value, f"{name}."):
                kept[key] = inner
        elif name in SAME_VALUES:
            kept[SAME_VALUES[name]] = value
        elif name in REMOVED and value == REMOVED[name]:
            continue
        elif sentence := renamed(name):
            raise TrainingError(sentence)
        else:
            kept[key] = value
    return kept


def _prefixes(field: str) -> list[str]:
    """The field, and the groups that hold it: a.b.c, a.b, a."""
    parts = field.split(".")
    return [".".join(parts[:length]) for length in range(len(parts), 0, -1)]
