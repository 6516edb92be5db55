"""A cache of features on the disk, from which an interrupted measurement resumes."""

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import UInt8
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from brushwork.data.files import write_file


@runtime_checkable
class Named(Protocol):
    """The part of an extractor that the cache needs."""

    name: str
    protocol: str
    dim: int


def user_cache() -> Path:
    """Folder of the cache between runs: below XDG_CACHE_HOME, or ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "brushwork" / "features"


def content_hash(images: UInt8[Tensor, "n 3 h w"]) -> str:
    """SHA-256 over shape and pixels."""
    digest = hashlib.sha256(repr(tuple(images.shape)).encode())
    digest.update(images.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


class FeatureCache:
    """A folder of features with atomic writes, at most `limit` bytes: the least recently used files go first.

    Folder None stores nothing. A folder that cannot be written is no error.
    """

    def __init__(self, folder: Path | None, *, limit: int = 4 * 1024**3) -> None:
        self.folder, self.limit = folder, limit

    def get(self, extractor: Named, key: str | None, count: int) -> Tensor | None:
        """The stored float32 (count, d). None for a file that is absent, damaged or of another shape."""
        path, identity = self._place(extractor, key)
        if path is None:
            return None
        try:
            with safe_open(path, framework="pt") as file:
                metadata, features = file.metadata() or {}, file.get_tensor("features")
        except (SafetensorError, OSError):
            return None
        sound = metadata.get("identity") == identity and tuple(features.shape) == (count, extractor.dim)
        if not sound or features.dtype != torch.float32 or metadata.get("sha256") != _digest(features):
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        return features

    def put(self, extractor: Named, key: str | None, features: Tensor) -> None:
        """Stores features under (protocol, key). Key None stores nothing."""
        path, identity = self._place(extractor, key)
        if path is None:
            return
        metadata = {"identity": identity, "sha256": _digest(features)}
        with contextlib.suppress(OSError):
            write_file(path, save({"features": features.contiguous()}, metadata=metadata))
            files = [(path, path.stat()) for path in path.parent.glob("*.safetensors")]
            surplus = sum(about.st_size for _, about in files) - self.limit
            for path, about in sorted(files, key=lambda each: each[1].st_mtime):
                if surplus > 0:
                    path.unlink(missing_ok=True)
                    surplus -= about.st_size

    def _place(self, extractor: Named, key: str | None) -> tuple[Path | None, str]:
        if self.folder is None or key is None:
            return None, ""
        identity = hashlib.sha256(json.dumps([extractor.protocol, key]).encode()).hexdigest()
        return self.folder / f"{extractor.name}-{identity[:32]}.safetensors", identity


def _digest(features: Tensor) -> str:
    return hashlib.sha256(features.contiguous().numpy().tobytes()).hexdigest()
