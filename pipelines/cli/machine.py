"""What this machine offers the node: processor, threads, GPU, port, folders and packages."""

import os
import platform
import shutil
import socket
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["machine_facts"]

CPU_FEATURES = ("sse4_2", "avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "sve")
"""Features of the processor on which the speed of the node depends, in the words of Linux."""
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_WAIT_POLICY")
OPTIONAL = ("gadgetron", "pydicom", "highdicom", "aiohttp", "dask", "pypulseq", "xarray")
PORT = 9002


def machine_facts(port: int = PORT) -> dict[str, str]:
    """Name of a fact -> what was found, in words.

    Args:
        port: the TCP port that the node would use.

    """
    from spokestream import __version__
    from spokestream.pipelines.cli.git_state import git_state

    state = git_state()
    return {
        "spokestream": __version__ + (f" (git {state})" if state else ""),
        "Python": f"{platform.python_version()}, {platform.platform()}",
        "processor": _processor(),
        "threads": _threads(),
        "GPU": _gpu(),
        "port": _port(port),
        "folders": "; ".join(_folder(name, path) for name, path in _folders().items()),
        "packages": ", ".join(f"{name} {_version(name)}" for name in OPTIONAL),
    }


def _processor() -> str:
    """Number of processors, model and features; on systems other than Linux without the features."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return f"{os.cpu_count()} × {platform.processor() or platform.machine()}"
    pairs = (line.partition(":") for line in reversed(lines))
    entries = {name.strip(): text.strip() for name, _, text in pairs}
    flags = (entries.get("flags") or entries.get("Features") or "").split()
    features = [feature for feature in CPU_FEATURES if feature in flags]
    return f"{os.cpu_count()} × {entries.get('model name', platform.machine())}, {' '.join(features) or 'basic'}"


def _threads() -> str:
    """The processors that this process may use, the threads of torch, and variables that limit threads."""
    import torch

    usable = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    limits = [f"{name}={os.environ[name]}" for name in THREAD_VARIABLES if name in os.environ]
    return ", ".join([f"{usable} processors may be used", f"torch uses {torch.get_num_threads()}", *limits])


def _gpu() -> str:
    import torch

    if torch.cuda.is_available():
        names = (torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count()))
        return ", ".join(f"{one.name} with {one.total_memory / 2**30:.0f} GiB" for one in names)
    return "none that torch can use, so networks run on the processor"


def _port(port: int) -> str:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            return f"{port} cannot be used ({reason}); give `serve` another one with --port"
    return f"{port} is free"


def _folders() -> dict[str, Path]:
    return {"working folder": Path.cwd(), "temporary files": Path(tempfile.gettempdir())}


def _folder(name: str, path: Path) -> str:
    can = "writable" if os.access(path, os.W_OK) else "NOT writable"
    return f"{name} {path}: {can}, {shutil.disk_usage(path).free / 1e9:.0f} GB free"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
