"""The four names of `brushwork.models`, imported on first use."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import brushwork.models
from brushwork.models import load_generator, restyle, sample, style_weights
from brushwork.models.generator import Generator
from brushwork.models.snapshot import generator_bytes
from brushwork.models.stage import Stage


def test_the_face_works_and_explains_itself(generator: Generator, tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(generator_bytes(generator, stage=Stage(16), notes={}))
    loaded = load_generator(tmp_path)
    weights = style_weights("ink=0.5+oil=0.5", loaded.style_names)
    assert sample(loaded, weights, [1]).equal(sample(loaded, "ink=0.5+oil=0.5", [1]))
    for function in (load_generator, restyle, sample, style_weights):
        assert f"{function.__name__}(" in (inspect.getdoc(function) or ""), "an example"
        assert getattr(brushwork.models, function.__name__) is function
    with pytest.raises(AttributeError, match="no attribute 'resample'"):
        _ = brushwork.models.resample  # type: ignore[attr-defined]
    code = "import sys, brushwork.models; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
