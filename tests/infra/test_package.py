"""The archive of the function."""

import pathlib
import platform
import shutil
import subprocess
import zipfile

import pytest

PACKAGE = pathlib.Path(__file__).resolve().parents[2] / "infra" / "aws" / "package"
OWN, OTHER = {"x86_64": ("x86_64", "arm64"), "aarch64": ("arm64", "x86_64")}[platform.machine()]


def package(folder, *arguments):
    return subprocess.run([PACKAGE, *arguments], cwd=folder, capture_output=True, text=True)


@pytest.fixture(scope="module")
def binary(tmp_path_factory):
    """A program for this machine that needs no library."""
    folder = tmp_path_factory.mktemp("binary")
    (folder / "program.c").write_text("int main(void) { return 0; }\n")
    subprocess.run([shutil.which("cc"), "-static", "-o", "program", "program.c"], cwd=folder, check=True)
    return folder / "program"


def test_holds_the_binary_alone_as_the_runtime_wants_it(binary, tmp_path):
    result = package(tmp_path, OWN, binary)
    assert result.returncode == 0, result.stderr
    with zipfile.ZipFile(tmp_path / f"leasehold-{OWN}.zip") as archive:
        (entry,) = archive.infolist()
        assert entry.filename == "bootstrap"
        assert entry.external_attr >> 16 & 0o111 == 0o111
        assert archive.read(entry) == binary.read_bytes()


def test_the_same_binary_gives_the_same_archive(binary, tmp_path):
    archive = tmp_path / f"leasehold-{OWN}.zip"
    copy = tmp_path / "copied-later"
    package(tmp_path, OWN, binary)
    first = archive.read_bytes()
    shutil.copyfile(binary, copy)
    package(tmp_path, OWN, copy)
    assert archive.read_bytes() == first


def test_refuses_another_machine_and_what_is_no_program(binary, tmp_path):
    for arguments, reason in [
        ((OTHER, binary), "another machine"),
        ((OWN, __file__), "no program"),
        (("mips", binary), "arm64 or x86_64"),
    ]:
        result = package(tmp_path, *arguments)
        assert result.returncode != 0
        assert reason in result.stderr
    assert list(tmp_path.iterdir()) == []
