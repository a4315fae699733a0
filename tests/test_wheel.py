"""The wheel holds all that the package needs at run time, and nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("osteon", "osteon_phantoms")
BUILD = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"
MODEL = "osteon/weights/cards/densenet_small.wheel_test"  # model folders have a dot in their name: no package has

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources with a model folder: building in the checkout would leave ``build/`` there."""
    folder = tmp_path_factory.mktemp("source")
    for name in (*PACKAGES, "tests", "bench", "scripts", "docs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    (folder / MODEL).mkdir(parents=True)
    for name in ("card.json", "weights.safetensors", "golden.safetensors"):
        (folder / MODEL / name).write_text("{}")
    return folder


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, as pip's build front end would have it built, without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    built = subprocess.run(
        [sys.executable, "-c", BUILD, str(folder)], cwd=source, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    zipfile.ZipFile(wheel).extractall(folder)
    return folder


def run_in(unpacked: Path, code: str) -> str:
    """Run code with the unpacked wheel before everything else on the path, away from the checkout."""
    first = f"import sys; sys.path.insert(0, {str(unpacked)!r}); import osteon; print(osteon.__file__)\n"
    ran = subprocess.run(
        [sys.executable, "-I", "-c", first + code], cwd=unpacked, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    where, _, rest = ran.stdout.partition("\n")
    assert where == str(unpacked / "osteon" / "__init__.py")
    return rest


def test_every_file_of_the_package_is_in_it(source: Path, wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        str(path.relative_to(source)) for name in PACKAGES for path in (source / name).rglob("*") if path.is_file()
    }
    assert wanted - inside == set()
    for name in (
        "osteon/py.typed",
        "osteon/labels/concepts.json",
        "osteon/report/static/page.html",
        "osteon_phantoms/tables/legs.json",
    ):
        assert name in inside
    assert f"{MODEL}/weights.safetensors" in inside


def test_nothing_else_is_in_it(source: Path, wheel: Path) -> None:
    inside = zipfile.ZipFile(wheel).namelist()
    others = [name for name in inside if not (source / name).is_file() and ".dist-info/" not in name]
    assert others == []
    assert {name.split("/")[0].split("-")[0] for name in inside} == set(PACKAGES)
    assert any(name.endswith("licenses/LICENSE") for name in inside)


def test_schemas_and_page_are_read_from_it(unpacked: Path) -> None:
    said = run_in(
        unpacked,
        "from osteon.app.cli.info import schema_of\n"
        "from osteon.labels import concept\n"
        "print(schema_of('findings')['$schema'], len(schema_of('run')['anyOf']), concept('bone').meaning)\n"
        "from osteon.errors import WeightsError\n"
        "from osteon.weights import read_card\n"
        "from osteon.weights.store import model_folders\n"
        f"card = model_folders()[0] / {MODEL.rsplit('/', 1)[1]!r}\n"
        "print(card)\n"
        "try:\n    read_card(card)\nexcept WeightsError as error:\n    print(error)\n",
    )
    first, card, refused, _ = said.split("\n")
    assert first == "https://json-schema.org/draft/2020-12/schema 1 Bone"
    assert card == str(unpacked / MODEL)
    assert "is not a valid model card" in refused  # the card's schema was read: an empty card breaks it


def test_an_archive_is_made_from_it(unpacked: Path, tmp_path: Path) -> None:
    said = run_in(
        unpacked,
        "from pathlib import Path\n"
        "from osteon.archive.search import summary\n"
        "from osteon.archive.store import create_archive\n"
        f"with create_archive(Path({str(tmp_path / 'archive')!r})) as archive:\n    print(summary(archive)['films'])\n",
    )
    assert said == "0\n"  # the migrations were in it


def test_the_program_starts_from_it(unpacked: Path) -> None:
    entry = next(unpacked.glob("*.dist-info")) / "entry_points.txt"
    assert "osteon = osteon.app.cli:main" in entry.read_text("utf-8")
    said = run_in(unpacked, "sys.argv = ['osteon', 'info']\nfrom osteon.app.cli import main\nmain()\n")
    assert "ct_osteosarcoma" in said


def test_the_demo_and_synthetic_patients_come_with_it(unpacked: Path) -> None:
    start = "from osteon.app.cli import main\n"
    said = run_in(unpacked, f"sys.argv = ['osteon', 'demo', '--help']\n{start}main()\n")
    assert "--seed" in said
    drawn = run_in(
        unpacked,
        "import osteon_phantoms\n"
        "from osteon_phantoms import LegSpec, make_leg_ct\n"
        "made = make_leg_ct(LegSpec(shape=(2, 32, 32), spacing_mm=(5.0, 13.0, 13.0)))\n"
        "print(osteon_phantoms.__file__, made.volume.array.max() > 500)\n",
    )
    assert drawn.split() == [str(unpacked / "osteon_phantoms" / "__init__.py"), "True"]
