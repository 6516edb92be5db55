"""Draws the images of seeds with numpy and onnxruntime alone. Every published folder has a copy of this file.

    pip install numpy onnxruntime
    python generate.py --style NAME --seeds 0 1 2

The images are those of `brushwork sample`, up to one level of 255.
"""

import argparse
import json
import struct
import zlib
from pathlib import Path

import numpy as np
import onnxruntime

NOISE_STREAM = 0x9E3779B9
"""Separates the noise of a seed from its latent code."""


class Normal:
    """The normal numbers of PyTorch's generator on a CPU, for a seed below 2**32, at least 16 at a time."""

    def __init__(self, seed: int) -> None:
        self.bits = np.random.RandomState(seed)  # the same Mersenne twister

    def __call__(self, count: int) -> np.ndarray:
        """float32 (count,): uniform numbers in blocks of 16 by Box and Muller, the last 16 anew if some are
        left over."""
        numbers = self._uniform(count)
        for start in range(0, count - 15, 16):
            numbers[start : start + 16] = _box_muller(numbers[start : start + 16])
        if count % 16:
            numbers[-16:] = _box_muller(self._uniform(16))
        return numbers

    def _uniform(self, count: int) -> np.ndarray:
        bits = self.bits.randint(0, 2**32, count, dtype=np.uint64)
        return (bits & (2**24 - 1)).astype(np.float32) * np.float32(2**-24)


def _box_muller(uniform: np.ndarray) -> np.ndarray:
    radius = np.sqrt(-2 * np.log(1 - uniform[:8]))
    angle = np.float32(2 * np.pi) * uniform[8:]
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])


class Published:
    """A published generator."""

    def __init__(self, folder: Path) -> None:
        self.config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        self.sessions = {
            name: onnxruntime.InferenceSession(folder / f"{name}.onnx") for name in ("mapping", "synthesis")
        }

    def styles(self, text: str) -> np.ndarray:
        """float32 (s,): the weights of a style, or of a blend such as ink=0.3+oil=0.7."""
        names, weights = self.config["styles"], np.zeros(len(self.config["styles"]), dtype=np.float32)
        for part in [text] if text in names else text.split("+"):
            name, _, weight = part.rpartition("=") if part not in names else (part, "", "1")
            if name not in names:
                raise SystemExit(f"There is no style {name or part!r}: choose from {', '.join(names)}.")
            try:
                weights[names.index(name)] = float(weight)
            except ValueError:
                raise SystemExit(f"Cannot read the weight of {part!r}: write ink=0.3+oil=0.7.") from None
        return weights

    def codes(self, style: str, seeds: list[int], psi: float = 1.0) -> np.ndarray:
        """float32 (n, l, d)."""
        inputs = {
            "z": np.stack([Normal(seed)(self.config["z_dim"]) for seed in seeds]),
            "styles": np.tile(self.styles(style), (len(seeds), 1)),
            "psi": np.full(len(seeds), psi, dtype=np.float32),
        }
        return self._run("mapping", inputs)

    def images(self, codes: np.ndarray, seeds: list[int]) -> np.ndarray:
        """uint8 (n, h, w, c) of codes, with the noise of seeds."""
        noise = np.stack([self._noise(seed) for seed in seeds])
        images = self._run("synthesis", {"codes": codes, "noise": noise})
        return to_uint8(images).transpose(0, 2, 3, 1)

    def _run(self, graph: str, inputs: dict[str, np.ndarray]) -> np.ndarray:
        (result,) = self.sessions[graph].run(None, inputs)
        return np.asarray(result)

    def _noise(self, seed: int) -> np.ndarray:
        normal = Normal(seed ^ NOISE_STREAM)
        return np.concatenate([normal(height * width) for height, width in self.config["noise"]])


def to_uint8(images: np.ndarray) -> np.ndarray:
    """[-1, 1] to 0..255; colours are divided by the transparency, if any."""
    if images.shape[1] == 4:
        alpha = (images[:, 3:] + 1) / 2
        colours = np.where(alpha >= 0.5 / 255, (images[:, :3] + 1) / np.clip(alpha, 0.5 / 255, 1), 0) - 1
        images = np.concatenate([colours, images[:, 3:]], axis=1)
    return np.clip(np.rint(images * 127.5 + 127.5), 0, 255).astype(np.uint8)


def png_bytes(pixels: np.ndarray) -> bytes:
    """uint8 (h, w, 3) or (h, w, 4) as a PNG file."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width, channels = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 8, 2 if channels == 3 else 6, 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def main() -> None:
    """Draw images to files."""
    parser = argparse.ArgumentParser(description="Draw the images of seeds, as brushwork sample does.")
    parser.add_argument("--style", help="a style or a blend (ink=0.3+oil=0.7); default: the first")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--psi", type=float, default=1.0, help="truncation")
    parser.add_argument("--out", type=Path, default=Path("drawn"))
    args = parser.parse_args()
    if not all(0 <= seed < 2**32 for seed in args.seeds):
        raise SystemExit(f"Take seeds from 0 to {2**32 - 1}.")
    published = Published(Path(__file__).parent)
    style = args.style or published.config["styles"][0]
    args.out.mkdir(parents=True, exist_ok=True)
    images = published.images(published.codes(style, args.seeds, args.psi), args.seeds)
    for seed, pixels in zip(args.seeds, images, strict=True):
        (args.out / f"seed{seed}.png").write_bytes(png_bytes(pixels))
    print(f"{len(images)} images of {style}: {args.out}")


if __name__ == "__main__":
    main()
