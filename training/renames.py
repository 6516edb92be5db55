"""Options and configuration fields that have another name now; old names are refused with the new one."""

FIELDS = {
    "every": "interval",
    "every.tick_kimg": "interval.status_kimg",
    "loss.turns": "loss.update_order",
    "loss.r1_every": "loss.r1_interval",
    "generator.styled": "generator.style_resolutions",
    "generator.content_latent": "generator.content_vae_channels",
    "optimizer.cooldown": "optimizer.lr_decay_fraction",
    "speed.keep_memory": "speed.retain_freed_memory",
    "restyle.by_picture": "restyle.exemplar_prob",
    "restyle.by_self": "restyle.self_style_prob",
    "restyle.hide_label": "restyle.label_dropout",
    "restyle.rebuild": "restyle.reconstruct",
    "restyle.rebuild_perceptual": "restyle.reconstruct_perceptual",
    "restyle.divergence": "restyle.kl",
    "restyle.crops": "restyle.info_nce",
    "generator.content_erased": "",
    "restyle.leak": "",
    "restyle.mean_std": "",
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
    "near-bits": "",
    "margin": "",
    "start-from": "",
    "lr": "",
    "growth": "",
    "large": "",
    "adam-lr": "",
}
"""Old -> new names of other command-line options, with the new form of the value; "" for those removed."""


def renamed(name: str) -> str | None:
    """The sentence for an old name, a dotted field or an option as typed; None for any other name."""
    is_option = name.startswith("--")
    old = name.removeprefix("--").replace("-", "_").split(".")
    if old[0] == "restyle" and old[-1] in ("rise_kimg", "fall_kimg") and is_option:
        return f"{name} is set in a JSON configuration only: see docs/renames.md."
    if is_option and (new := OPTIONS.get(name.removeprefix("--"))):
        return f"{name} is now called --{new}."
    for length in range(len(old), 0, -1):
        new = FIELDS.get(".".join(old[:length]))
        if new:
            dotted = ".".join([new, *old[length:]])
            return f"{name} is now called {'--' + dotted.replace('_', '-') if is_option else dotted}."
        if new == "" or (is_option and name.removeprefix("--") in OPTIONS):
            return f"{name} was removed (docs/renames.md says why): leave it out."
    return None
