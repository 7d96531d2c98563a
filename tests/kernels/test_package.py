"""Kernels out of packages: which modules are loaded, and in which order."""

from __future__ import annotations

import lzma
import subprocess
from pathlib import Path

import pytest
from kernels.package import BOOT_MODULES, TEST_MODULES, PackageError, unpack

RELEASE = "6.1.0-1-amd64"


def module_file(*depends: str) -> bytes:
    return b"\x7fELF\0license=GPL\0depends=" + ",".join(depends).encode() + b"\0name=x\0"


def packaged(
    folder: Path, files: dict[str, bytes], image: str = f"boot/vmlinuz-{RELEASE}"
) -> tuple[Path, ...]:
    """Build a package of a kernel with these modules; all others that are wanted are built in."""
    tree = folder / "tree"
    modules = tree / "usr/lib/modules" / RELEASE
    names = {name.partition(".")[0].replace("-", "_") for name in files}
    rest = [name for name in (*BOOT_MODULES, *TEST_MODULES) if name not in names]
    contents = {
        tree / image: b"image",
        modules / "modules.builtin": "".join(f"kernel/{name}.ko\n" for name in rest).encode(),
        tree / "DEBIAN/control": (
            b"Package: linux-image-1\nVersion: 1\nArchitecture: amd64\nMaintainer: N\nDescription: d\n"
        ),
        **{modules / "kernel" / name: data for name, data in files.items()},
    }
    for path, data in contents.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    subprocess.run(["dpkg-deb", "--build", tree, folder / "linux.deb"], check=True, capture_output=True)
    return (folder / "linux.deb",)


def test_what_a_module_needs_is_loaded_before_it(tmp_path: Path) -> None:
    files = {
        "veth.ko": module_file("b-one", "c_two"),
        "b-one.ko": module_file("c-two"),
        "c-two.ko": module_file(),
        "unwanted.ko": module_file(),
    }
    kernel = unpack(packaged(tmp_path, files), tmp_path / "unpacked")
    assert (kernel.release, kernel.image.read_bytes()) == (RELEASE, b"image")
    assert [module.name for module in kernel.modules] == ["c_two", "b_one", "veth"]


def test_compressed_modules_are_unpacked(tmp_path: Path) -> None:
    kernel = unpack(packaged(tmp_path, {"tun.ko.xz": lzma.compress(module_file())}), tmp_path / "unpacked")
    assert [module.contents for module in kernel.modules] == [module_file()]


def test_unknown_compression_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match=r"tun\.ko\.zst"):
        unpack(packaged(tmp_path, {"tun.ko.zst": b""}), tmp_path / "unpacked")


def test_missing_module_is_named(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="has no module b_one"):
        unpack(packaged(tmp_path, {"veth.ko": module_file("b-one")}), tmp_path / "unpacked")


def test_image_may_stand_with_the_modules(tmp_path: Path) -> None:
    image = f"usr/lib/modules/{RELEASE}/vmlinuz"
    assert unpack(packaged(tmp_path, {}, image), tmp_path / "unpacked").image.read_bytes() == b"image"


def test_package_without_an_image_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match=rf"no image of {RELEASE}"):
        unpack(packaged(tmp_path, {}, "boot/other"), tmp_path / "unpacked")


def test_package_without_a_kernel_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="0 kernels in no package"):
        unpack((), tmp_path)
