"""The layout is what the design says: packages listed, arrows kept, files and functions short."""

import ast
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

ROOT = Path(__file__).parent.parent
FOLDERS = ("models", "data", "training", "eval", "scripts")
"""At the top; each may have folders of its own, one level deep."""


def code() -> list[Path]:
    """All files of the packages."""
    return [file for folder in FOLDERS for file in sorted((ROOT / folder).rglob("*.py"))]


def test_every_folder_with_code_is_a_listed_package() -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    folders = {Path(file).parent for file in tracked.stdout.split() if not file.startswith("tests/")}
    mapped = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert {folder.parts[0] for folder in folders} == set(FOLDERS)
    assert all(len(folder.parts) <= 2 for folder in folders)
    names = {".".join(("brushwork", *folder.parts)): str(folder) for folder in folders}
    assert mapped["package-dir"] == names
    assert set(mapped["packages"]) == set(names)
    for folder in FOLDERS:
        assert (ROOT / "typings" / "brushwork" / folder).resolve() == ROOT / folder, "for pyright"


def test_the_arrows_are_kept() -> None:
    linter = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    done = subprocess.run(linter, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_only_the_trainer_builds_an_accelerator() -> None:
    assert [file.name for file in code() if "Accelerator(" in file.read_text()] == ["trainer.py"]


def test_folders_files_and_functions_are_short() -> None:
    for folder in {file.parent for file in code()}:
        assert len(list(folder.glob("*.py"))) <= 22, folder
    for file in code():
        text = file.read_text()
        assert text.count("\n") <= 500, file
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                assert (node.end_lineno or 0) - node.lineno < 60, f"{file}: {node.name}"


def test_no_script_hides_a_library() -> None:
    """`python scripts/bench/train.py` puts its folder before the libraries."""
    for file in (ROOT / "scripts").rglob("*.py"):
        assert file.stem not in sys.stdlib_module_names, file


@pytest.mark.slow
def test_the_wheel_imports_beside_a_folder_of_the_same_name(tmp_path: Path) -> None:
    """Unpacked from the wheel, with a foreign `models/` in the working directory."""
    source = tmp_path / "source"  # a copy, since building leaves a folder behind
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source / file)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "--wheel-dir", str(tmp_path), str(source)], check=True, cwd=tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    site, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
        names = archive.namelist()
    assert all(name.startswith("brushwork") for name in names), "nothing else in site-packages"
    templates = {f"brushwork/eval/report/page.{kind}" for kind in ("html", "css")}
    assert templates <= set(names), "the report's page needs its template"
    (elsewhere / "models").mkdir(parents=True)
    (elsewhere / "models" / "__init__.py").write_text("raise ImportError('the wrong models')\n")
    code = "import brushwork.models as m, sys; import brushwork.models.generator; print(m.__file__)"
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(site)!r}); {code}"]
    done = subprocess.run(command, cwd=elsewhere, capture_output=True, text=True, check=True)
    assert str(site) in done.stdout
