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

OPTIONS = {
    "keep": "skip-existing",
    "like": "style-image",
    "like-style": "style-image-label",
    "looks": "style-code content (before: own) or latent (before: drawn)",
    "peer": "with-stylegan2",
    "every-kimg": "interval-kimg",
    "blend": "style, with blends such as a=0.5+b=0.5",
    "hed-vgg16-weights": "weights hed-vgg16=PATH",
    "inception-weights": "weights inception=PATH",
    "lpips-weights": "weights lpips=PATH",
    "near-bits": "",
    "margin": "",
    "start-from": "",
    "lr": "",
    "growth": "",
    "large": "",
    "adam-lr": "",
    "strict": "",
    "duplicates": "",
    "all-subjects": "",
    "contents": "",
    "save-statistics": "",
    "vgg16-weights": "",
    "vgg19-weights": "",
    "cutoff": "",
    "mixing-layer": "",
}
"""Old -> new names of other command-line options, with the new form of the value; "" for removed ones."""

JSON_ONLY = {f"restyle.{term}.rise_kimg" for term in TERMS}
"""Fields that no command-line option sets."""


def renamed(name: str) -> str | None:
    """The sentence for a name that is no longer valid, or not as an option; None for any other name.

    Args:
        name: a dotted field, or an option as typed.
    """
    option, is_option = name.removeprefix("--"), name.startswith("--")
    field = option.removeprefix("no-").replace("-", "_")
    old = next((prefix for prefix in _prefixes(field) if prefix in FIELDS), "")
    new = FIELDS[old] + field.removeprefix(old) if old else field
    removed = f"{name} was removed (docs/renames.md says why): leave it out."
    if is_option and option in OPTIONS:
        return f"{name} is now called --{OPTIONS[option]}." if OPTIONS[option] else removed
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
