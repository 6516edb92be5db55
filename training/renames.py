"""Options and configuration fields that have another name now; old names are refused with the new one."""

FIELDS = {
    "every": "interval",
    "every.tick_kimg": "interval.status_kimg",
    "loss.turns": "loss.update_order",
    "loss.r1_every": "loss.r1_interval",
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
    "loss.condition_noise": "",
    "generator.styled": "",
    "generator.style_resolutions": "",
    "generator.attention": "",
    "generator.encoder_attention": "",
    "discriminator.attention": "",
    "restyle.leak": "",
    "restyle.mean_std": "",
}
"""Old -> new dotted names of configuration fields; "" for those that were removed."""

OPTIONS = {
    "keep": "skip-existing",
    "like": "style-image",
    "like-style": "style-image-label",
    "looks": "style-code",
    "peer": "with-stylegan2",
    "every-kimg": "interval-kimg",
    "blend": "style",
}
"""Old -> new names of other command-line options."""


def renamed(name: str) -> str | None:
    """The sentence for an old name, a dotted field or an option as typed; None for any other name."""
    is_option = name.startswith("--")
    old = name.removeprefix("--").replace("-", "_").split(".")
    known = FIELDS | {each.replace("-", "_"): new for each, new in OPTIONS.items()} if is_option else FIELDS
    for length in range(len(old), 0, -1):
        new = known.get(".".join(old[:length]))
        if new == "":
            return f"{name} was removed, since it gained nothing (docs/results.md): leave it out."
        if new is not None:
            dotted = ".".join([new, *old[length:]])
            return f"{name} is now called {'--' + dotted.replace('_', '-') if is_option else dotted}."
    return None
