"""Networks of the style-conditional StyleGAN: functions of tensors, and sampling from them.

    from brushwork.models import load_generator, restyle, sample, style_weights

    generator = load_generator("runs/demo")
    images = sample(generator, "noto", seeds=range(8), psi=0.8)  # uint8 (8, 3, R, R)

Each name is imported on its first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .restyling import restyle
    from .sampling import sample
    from .snapshot import load_generator
    from .styles import style_weights

__all__ = ["load_generator", "restyle", "sample", "style_weights"]
_MODULES = dict(zip(__all__, ("snapshot", "restyling", "sampling", "styles"), strict=True))


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULES[name]}", __name__), name)
