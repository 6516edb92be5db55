"""Features on the disk, by the content of the pictures and the protocol: a cut measurement goes on."""

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Protocol, runtime_checkable

from jaxtyping import UInt8
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor


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
        path.parent.mkdir(parents=True, exist_ok=True)
        # Whole or not at all: a reader never meets half a file, nor do two writers meet in one.
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(handle)
        try:
            metadata = {"identity": identity, "sha256": _digest(features)}
            save_file({"features": features.contiguous()}, temporary, metadata=metadata)
            os.replace(temporary, path)
        finally:
            Path(temporary).unlink(missing_ok=True)

    def _place(self, extractor: Named, key: str | None) -> tuple[Path | None, str]:
        if self.folder is None or key is None:
            return None, ""
        identity = hashlib.sha256(json.dumps([extractor.protocol, key]).encode()).hexdigest()
        return self.folder / f"{extractor.name}-{identity[:32]}.safetensors", identity


def _digest(features: Tensor) -> str:
    return hashlib.sha256(features.contiguous().numpy().tobytes()).hexdigest()
