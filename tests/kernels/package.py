"""What a test machine boots, taken out of Debian's kernel packages."""

from __future__ import annotations

import lzma
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Before everything else: crc32c is asked for by name while others are loaded.
BOOT_MODULES = ("crc32c_generic", "virtio_pci", "9pnet_virtio", "9p", "overlay")
TEST_MODULES = (
    *("veth", "dummy", "bridge", "tun", "8021q", "sctp"),
    *("sch_ingress", "sch_prio", "cls_bpf", "cls_matchall", "cls_u32", "act_gact"),
    *("ipip", "sit", "ip_gre", "wireguard", "vxlan"),
)
# Gone from, or no longer apart in, some kernel we run on.
DISPENSABLE_MODULES = frozenset({"crc32c_generic"})

_DEPENDS = re.compile(rb"\0depends=([^\0]*)\0")


class PackageError(Exception):
    """The packages lack something that the test machine needs."""


@dataclass(frozen=True, slots=True)
class Module:
    """A kernel module, uncompressed, and the modules to be loaded before it."""

    name: str
    contents: bytes
    depends: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel to boot: release as uname -r says, compressed image, modules in loading order."""

    release: str
    image: Path
    modules: tuple[Module, ...]


def unpack(packages: tuple[Path, ...], folder: Path) -> Kernel:
    """Return the kernel in the packages, unpacked below folder; raises PackageError."""
    for package in packages:
        subprocess.run(["dpkg-deb", "--extract", package, folder], check=True)
    trees = [path.parent for path in sorted(folder.glob("**/lib/modules/*/modules.builtin"))]
    if len(trees) != 1:
        raise PackageError(
            f"{len(trees)} kernels in {', '.join(path.name for path in packages) or 'no package'}"
        )
    (tree,) = trees
    for image in (folder / f"boot/vmlinuz-{tree.name}", tree / "vmlinuz"):
        if image.is_file():
            return Kernel(tree.name, image, tuple(_in_loading_order(tree)))
    raise PackageError(f"no image of {tree.name} in {', '.join(path.name for path in packages)}")


def module(path: Path) -> Module:
    """Return the module in a file, which may be compressed."""
    contents = path.read_bytes()
    match path.suffix:
        case ".ko":
            pass
        case ".xz":
            contents = lzma.decompress(contents)
        case _:
            raise PackageError(f"{path}: a compression this doesn't know")
    found = _DEPENDS.search(contents)
    depends = found[1].decode().split(",") if found and found[1] else []
    return Module(module_name(path), contents, tuple(_spelt(name) for name in depends))


def module_name(path: Path) -> str:
    return _spelt(path.name.partition(".ko")[0])


def _spelt(name: str) -> str:
    return name.replace("-", "_")


def _in_loading_order(tree: Path) -> Iterator[Module]:
    files = {module_name(path): path for path in tree.rglob("*.ko*")}
    built_in = {module_name(Path(line)) for line in (tree / "modules.builtin").read_text().split()}
    done: set[str] = set()

    def load(name: str) -> Iterator[Module]:
        if name in done or name in built_in:
            return
        done.add(name)
        if name in files:
            found = module(files[name])
            for needed in found.depends:
                yield from load(needed)
            yield found
        elif name not in DISPENSABLE_MODULES:
            raise PackageError(f"{tree.name} has no module {name}")

    for name in (*BOOT_MODULES, *TEST_MODULES):
        yield from load(name)
