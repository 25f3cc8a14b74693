"""A run directory: what was computed, addressed by what it was computed from, whole or not there at all.

    RUN/experiment.json                    the configuration of the last run
    RUN/cells/KEY/cell.json                data set, model, recipe, seed and history; the SHA-256 of the weights
    RUN/cells/KEY/weights.safetensors      the trained weights
    RUN/cells/KEY/profiles-KEY2.json       both profiles, measured with the settings that KEY2 is the hash of, or one
                                           of the measurements beside them
    RUN/cells/KEY/costs.json               seconds and versions of each stage: alone differs from run to run
    RUN/halfway/KEY.safetensors            a training in progress: see halfway.py
    RUN/profiles.csv, RUN/*.png, RUN/*.svg made from the cells at the end of a run

Every JSON file carries the SHA-256 of its own body; a damaged or half-written file reads as absent, and is computed
anew."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors.torch
from filelock import FileLock, Timeout
from torch import Tensor

from invrob.errors import InputError
from invrob.files import TEMPORARY, check_writable, write_atomically
from invrob.versions import versions


def key_of(config: dict[str, Any]) -> str:
    """The address of what was computed from `config` (plain JSON values): 16 hex digits of its SHA-256."""
    return hashlib.sha256(_canonical(config)).hexdigest()[:16]


class Store:
    """The cells of one run directory; created on the first write.

    held: measurements that the disk has refused, (key, profile_key) -> body; they are read as if it had not."""

    def __init__(self, path: Path, held: Mapping[tuple[str, str], dict[str, Any]] | None = None) -> None:
        self.path, self.held = path, held or {}

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the directory for this process; the lock goes with the process, also after kill -9. What processes that
        were killed while they wrote have left is swept out.

        Raises InputError when another process holds it or the folder cannot be written."""
        check_writable([self.path / ".lock"], "choose another folder", named=self.path)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path / ".lock", blocking=False)
            lock.acquire()
        except Timeout:
            raise InputError(f"{self.path} is in use by another run: wait for it, or choose another folder") from None
        except OSError as error:
            raise InputError(f"{self.path} cannot be written ({error}): choose another folder") from None
        try:
            places = ("", "cells/*/", "halfway/")
            for left in (file for place in places for file in self.path.glob(place + TEMPORARY)):
                left.unlink(missing_ok=True)
            yield
        finally:
            lock.release()

    def write_training(self, key: str, state: dict[str, Tensor], body: dict[str, Any]) -> None:
        """Keep trained weights and what is known of them. The weights go first: cell.json says that they are whole.

        Profiles of earlier weights of this cell are removed before: a GPU may not train to the same bits twice."""
        for stale in self._cell(key).glob("profiles-*.json"):
            stale.unlink()
        tensors = {name: value.detach().cpu().contiguous().clone() for name, value in state.items()}  # tied ones apart
        content = safetensors.torch.save(tensors, {"format": "pt"})  # save_file hides why a disk refuses
        write_atomically(self._weights(key), lambda path: path.write_bytes(content))
        write_json(self._cell(key) / "cell.json", {**body, "weights_sha256": hashlib.sha256(content).hexdigest()})

    def read_training(self, key: str) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """The weights and the body given to `write_training`; None where they are missing or damaged."""
        return read_training(self._cell(key))

    def write_profiles(self, key: str, profile_key: str, body: dict[str, Any]) -> None:
        write_json(self._cell(key) / f"profiles-{profile_key}.json", body)

    def read_profiles(self, key: str, profile_key: str) -> dict[str, Any] | None:
        """The body given to `write_profiles`; None where it is missing or damaged."""
        held = self.held.get((key, profile_key))
        return read_json(self._cell(key) / f"profiles-{profile_key}.json") if held is None else held

    def keys_of(self, model: str, options: dict[str, Any]) -> list[str]:
        """The keys of the trained cells of a network, sorted."""
        found = []
        for path in sorted(self.path.glob("cells/*/cell.json")):
            cell = (read_json(path) or {}).get("cell")
            if isinstance(cell, dict) and (cell.get("model"), cell.get("options")) == (model, options):
                found.append(path.parent.name)
        return found

    def write_cost(self, key: str, stage: str, seconds: float, device: str) -> None:
        """Note how long a stage of a cell took, and the versions that did it; the others' notes stay."""
        note = {"seconds": seconds, "device": device, "versions": versions()}
        write_json(self._costs(key), {**self.read_costs(key), stage: note})

    def read_costs(self, key: str) -> dict[str, dict[str, Any]]:
        """Stage -> {"seconds", "device", "versions"}, of the last time that each was done; runs before 0.3 have no
        versions."""
        costs = read_json(self._costs(key)) or {}
        return {
            stage: cost
            for stage, cost in costs.items()
            if isinstance(cost, dict) and {"seconds", "device"} <= cost.keys()
        }

    def _costs(self, key: str) -> Path:
        return self._cell(key) / "costs.json"

    def _cell(self, key: str) -> Path:
        return self.path / "cells" / key

    def _weights(self, key: str) -> Path:
        return self._cell(key) / "weights.safetensors"


def read_training(cell: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """What `Store.write_training` put into the folder `cell`, wherever that was moved since; None where it is missing
    or damaged."""
    body, weights = read_json(cell / "cell.json"), cell / "weights.safetensors"
    if body is None or not weights.is_file():
        return None
    content = weights.read_bytes()  # once: what is loaded is what was compared
    if hashlib.sha256(content).hexdigest() != body.get("weights_sha256"):
        return None
    try:
        return safetensors.torch.load(content), body
    except (safetensors.SafetensorError, ValueError, KeyError):
        return None


def write_json(path: Path, body: dict[str, Any]) -> None:
    """Write `body` with its checksum, atomically."""
    whole = {"sha256": hashlib.sha256(_canonical(body)).hexdigest(), "body": body}
    text = json.dumps(whole, allow_nan=False, indent=1)
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def read_json(path: Path) -> dict[str, Any] | None:
    """The body of a file of `write_json`; None where it is missing, truncated or changed, or is no file."""
    try:
        whole = json.loads(path.read_text(encoding="utf-8"))
        body: dict[str, Any] = whole["body"]
        intact = isinstance(body, dict) and hashlib.sha256(_canonical(body)).hexdigest() == whole["sha256"]
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return body if intact else None


def _canonical(body: dict[str, Any]) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
