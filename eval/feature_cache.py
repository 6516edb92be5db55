"""Features on the disk, by the content of the pictures and the protocol: a cut measurement goes on."""

import hashlib
import json
import os
from pathlib import Path
from typing import Protocol, runtime_checkable

from jaxtyping import UInt8
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from brushwork.data.files import write_file


@runtime_checkable
class Named(Protocol):
    """As much of an extractor as the cache needs."""

    @property
    def name(self) -> str: ...

    @property
    def protocol(self) -> str: ...

    @property
    def dim(self) -> int: ...


def user_cache() -> Path:
    """Where features are kept between runs: below XDG_CACHE_HOME, or ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "brushwork" / "features"


def content_hash(images: UInt8[Tensor, "n 3 h w"]) -> str:
    """SHA-256 over shape and pixels: the same pictures in the same order, wherever they came from."""
    digest = hashlib.sha256(repr(tuple(images.shape)).encode())
    digest.update(images.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


class FeatureCache:
    """A folder of features, each file whole or absent. Folder None keeps nothing."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def get(self, extractor: Named, key: str | None, count: int) -> Tensor | None:
        """Float32 (count, d) as it was put, or None. A file that is cut short, altered or of another shape
        counts as absent."""
        path, identity = self._place(extractor, key)
        if path is None:
            return None
        try:
            with safe_open(path, framework="pt") as file:
                metadata, features = file.metadata() or {}, file.get_tensor("features")
        except (SafetensorError, OSError):
            return None
        sound = metadata.get("identity") == identity and tuple(features.shape) == (count, extractor.dim)
        return features if sound and metadata.get("sha256") == _digest(features) else None

    def put(self, extractor: Named, key: str | None, features: Tensor) -> None:
        """Keeps features under (protocol, key); without a key, nothing is kept."""
        path, identity = self._place(extractor, key)
        if path is None:
            return
        metadata = {"identity": identity, "sha256": _digest(features)}
        write_file(path, save({"features": features.contiguous()}, metadata=metadata))

    def _place(self, extractor: Named, key: str | None) -> tuple[Path | None, str]:
        if self.folder is None or key is None:
            return None, ""
        identity = hashlib.sha256(json.dumps([extractor.protocol, key]).encode()).hexdigest()
        return self.folder / f"{extractor.name}-{identity[:32]}.safetensors", identity


def _digest(features: Tensor) -> str:
    return hashlib.sha256(features.contiguous().numpy().tobytes()).hexdigest()
