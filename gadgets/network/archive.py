"""Network archives: a TorchScript file that contains its contract, and runs without the code that trained it.

An archive is a program: TorchScript can read and write files, and use all memory. Therefore archives come from the
operator or with this software, never from a client.
"""

import hashlib
import io
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import ismrmrd  # noqa: F401  enables all warnings when it is imported, so that it must come before the filter
import torch
from torch.jit import ScriptModule

from spokestream.errors import FileError, SpokestreamError
from spokestream.gadgets.network.contract import Contract
from spokestream.gadgets.network.contract_json import contract_json, parse_contract

__all__ = [
    "NetworkArchive", "load_archive", "read_archive", "read_contract", "save_archive", "told",
]  # fmt: skip

# the person at the console can do nothing about these warnings
for kind in (DeprecationWarning, FutureWarning):  # the second one since torch 2.14
    warnings.filterwarnings("ignore", "`torch.jit.", kind)

CONTRACT = "contract.json"
LARGEST_FILE = 512 << 20
"""Largest size of a file in bytes, both packed and unpacked."""
LARGEST_CONTRACT = 64 << 20
UNREADABLE = (
    OSError, ValueError, EOFError, RuntimeError, SpokestreamError, torch.jit.Error, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""Errors that the libraries raise for a file that is damaged or of another kind."""


@dataclass(frozen=True, eq=False)
class NetworkArchive:
    """A network in single precision on the CPU, and its contract."""

    contract: Contract
    module: ScriptModule
    """The program with its methods `normalise` and `forward`, which `save_archive` describes."""
    digest: str
    """Twelve hexadecimal digits that identify the file, for provenance."""


def save_archive(path: Path, module: ScriptModule, contract: Contract) -> None:
    """Write a scripted module and its contract.

    Args:
        path: path of the file.
        module: the module in evaluation mode and single precision, with two methods.
            `normalise(coefficients (2K, y, x) float32, foreground (y, x) bool, efficiency: float) -> (channels, y, x)
            float32` takes a slice, or the part of it that contains the foreground; pixels outside the foreground must
            not change the result. Channel 2k is the real part of coefficient k, channel 2k + 1 its imaginary part.
            The efficiency is that of the inversion.
            `forward(patches (n, channels, h + 2 border, w + 2 border)) -> (n, planes, h, w)` returns values 0..1.
        contract: the contract of the module.

    Raises FileError if the module does not fulfil its contract.

    """
    _check(module, contract)
    files = {CONTRACT: contract_json(contract).encode()}
    torch.jit.save(module, str(path), _extra_files=files)


def load_archive(path: Path) -> NetworkArchive:
    """Read a file of `save_archive`. Raises FileError, with one sentence, for any other file."""
    with told(path):
        text, module, digest = read_archive(path, CONTRACT)
        contract = parse_contract(text)
        _check(module, contract)
    return NetworkArchive(contract, module, digest)


def read_archive(path: Path, name: str) -> tuple[bytes, ScriptModule, str]:
    """The text of this name in an archive, its program, and twelve digits that identify it. Raises `UNREADABLE`."""
    data = _bytes(path)
    return _text(data, name), _load(data), hashlib.sha256(data).hexdigest()[:12]


def read_contract(path: Path) -> Contract:
    """Read only the contract of an archive, without its program. Raises FileError, with one sentence."""
    with told(path):
        return parse_contract(_text(_bytes(path), CONTRACT))


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Raise every error of an unreadable archive as one sentence."""
    try:
        yield
    except FileNotFoundError:
        raise FileError(f"There is no network archive {path}.") from None
    except UNREADABLE as error:
        raise FileError(f"{path} is no network archive of spokestream ({_first_line(error)}).") from None


def _bytes(path: Path) -> bytes:
    if path.stat().st_size > LARGEST_FILE:
        raise FileError(f"it is larger than {LARGEST_FILE >> 20} MB")
    return path.read_bytes()


def _load(data: bytes) -> ScriptModule:
    module: ScriptModule = torch.jit.load(io.BytesIO(data), map_location="cpu")  # type: ignore[no-untyped-call]
    return module.eval()


def _text(data: bytes, name: str) -> bytes:
    """The text of this name in an archive, such as its contract, which is read before any code of the file runs."""
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        members = file.infolist()
        if sum(member.file_size for member in members) > LARGEST_FILE:
            raise FileError(f"unpacked it is larger than {LARGEST_FILE >> 20} MB")
        contracts = [member for member in members if member.filename.endswith(f"/extra/{name}")]
        if len(contracts) != 1 or contracts[0].file_size > LARGEST_CONTRACT:
            raise FileError("it holds no contract")
        with file.open(contracts[0]) as packed:  # it may unpack to more bytes than the file states
            return packed.read(LARGEST_CONTRACT)


def _check(module: ScriptModule, contract: Contract) -> None:
    """Run the module on a few pixels. Raises FileError if it does not fulfil its contract."""
    if not hasattr(module, "normalise"):
        raise FileError("its network has no method 'normalise'")
    h, w = 3, 5
    n_coefficients = 2 * contract.basis.weights.shape[1]
    coefficients = torch.linspace(-1, 1, n_coefficients * h * w).reshape(n_coefficients, h, w)
    h_out, w_out = contract.step, 2 * contract.step
    patches = torch.zeros(1, contract.channels, h_out + 2 * contract.border, w_out + 2 * contract.border)
    try:
        with torch.inference_mode():
            fed = module.normalise(coefficients, torch.ones(h, w, dtype=torch.bool), 0.9)
            given = module(patches)
    except (RuntimeError, torch.jit.Error) as error:
        raise FileError(f"its network does not run: {_last_line(error)}") from None
    for what, tensor, shape in (
        ("normalise", fed, (contract.channels, h, w)),
        ("forward", given, (1, contract.planes, h_out, w_out)),
    ):
        if not isinstance(tensor, torch.Tensor) or tensor.shape != shape or tensor.dtype != torch.float32:
            raise FileError(f"its network's '{what}' does not give what its contract says")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].strip().rstrip(".")[:200]


def _last_line(error: Exception) -> str:
    # TorchScript puts a traceback before the message
    return (str(error).splitlines() or [type(error).__name__])[-1].strip().rstrip(".")[:200]
