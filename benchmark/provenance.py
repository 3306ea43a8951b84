"""What produced a record: versions, processor and the hash of the suite's own source."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BOARDS = ROOT / "leaderboards"  # the published ones
PACKAGES = ("benchmark", "environments", "students", "teachers")
LIBRARIES = ("torch", "numpy", "scipy", "scikit-learn", "gymnasium", "box2d")


@cache
def suite_sha256() -> str:
    """SHA-256 over the suite's Python files and published protocols, names included."""
    digest = hashlib.sha256()
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            digest.update(str(path.relative_to(ROOT)).encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


@cache
def provenance(device: str = "cpu") -> dict[str, str]:
    """Versions and machine facts that are the same for every run of this installation.

    ``device`` says where the student learned; records that lack it were made on the CPU.
    """
    facts = {
        "suite": _version("lyceum"),
        "suite_sha256": suite_sha256(),
        "python": platform.python_version(),
        "platform": f"{platform.system()}-{platform.machine()}",
        "processor": _processor(),
        "device": device,
    }
    return facts | {name: _version(name) for name in LIBRARIES}


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    """The processor's model name; Linux keeps it in /proc, elsewhere the platform's word counts."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor() or "unknown"
