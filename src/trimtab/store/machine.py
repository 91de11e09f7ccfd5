"""What a command ran on: the machine, and the versions that shape its numbers."""

from __future__ import annotations

import os
import platform
import sys
from contextlib import suppress
from importlib import metadata
from pathlib import Path

PACKAGES = ("trimtab", "torch", "transformers", "peft")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that shape a run's numbers, where installed."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def machine() -> dict[str, str | int | float]:
    """Processor, cores, memory in GB (10^9 bytes) and platform; the GPU where torch has one.

    Torch is asked only if the command has imported it: others do not need it.
    """
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    described: dict[str, str | int | float] = {
        "cpu": cpu_name(),
        "cores": os.cpu_count() or 1,
        "memory_gb": round(memory_bytes / 1e9, 1),
        "platform": platform.platform(),
    }
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        described["gpu"] = torch.cuda.get_device_name()
    return described


def cpu_name() -> str:
    """The processor's name as Linux tells it, elsewhere its kind."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()
