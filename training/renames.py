"""Options and configuration fields that have another name now, or none; they are refused with a sentence."""

from .restyle.config import TERMS

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
    "generator.content_erased": "",
    "generator.styled": "",
    "generator.style_resolutions": "",
    "generator.attention": "",
    "generator.encoder_attention": "",
    "discriminator.attention": "",
    "restyle.leak": "",
    "restyle.mean_std": "",
    "restyle.gram": "",
    "restyle.diversity": "",
    "restyle.rebuild_perceptual": "",
    "restyle.reconstruct_perceptual": "",
    "restyle.pixels": "",
    "restyle.contrast_group": "",
    "restyle.temperature": "",
    **{f"restyle.{term}.fall_kimg": "" for term in TERMS},
    "loss.condition_noise": "",
    "loss.ramp_start_kimg": "",
    "loss.ramp_end_kimg": "",
    "labels.unlabelled": "",
    "optimizer.cooldown": "",
    "optimizer.lr_decay_fraction": "",
    "optimizer.beta2": "",
    "optimizer.eps": "",
    "speed.keep_memory": "",
    "speed.retain_freed_memory": "",
    "speed.background": "",
    "speed.fused": "",
    "speed.tf32": "",
    "loader.rotate": "",
    "loader.scale": "",
    "loader.crop": "",
    "loader.shift": "",
    "loader.fill": "",
}
"""Old -> new dotted names of configuration fields; "" for those that were removed."""

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


def renamed(name: str, command: str = "") -> str | None:
    """The sentence for a name that is no longer valid, or not as an option; None for any other name.

    Args:
        name: a dotted field, or an option as typed.
        command: the verb that the option was typed for, and what follows it.
    """
    option, is_option = name.removeprefix("--"), name.startswith("--")
    removed = f"{name} was removed (docs/renames.md says why): leave it out."
    if is_option and "." not in option:
        words, short = command.split(), option.removeprefix("no-")
        own = OPTIONS.get(" ".join(words[:2])) or OPTIONS.get(" ".join(words[:1]), {})
        if short not in own:
            return None
        return f"{name} is now called --{own[short]}." if own[short] else removed
    field = option.removeprefix("no-").replace("-", "_")
    old = next((prefix for prefix in _prefixes(field) if prefix in FIELDS), "")
    new = FIELDS[old] + field.removeprefix(old) if old else field
    if is_option and new in JSON_ONLY:
        return f"{name} is set in a JSON configuration only: {new}."
    if not old:
        return None
    if not FIELDS[old] or FIELDS.get(new) == "":
        return removed
    return f"{name} is now called {'--' + new.replace('_', '-') if is_option else new}."


def _prefixes(field: str) -> list[str]:
    """The field, and the groups that hold it: a.b.c, a.b, a."""
    parts = field.split(".")
    return [".".join(parts[:length]) for length in range(len(parts), 0, -1)]
