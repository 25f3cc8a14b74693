"""A connection to a Ray cluster, which is started where none is given."""

import importlib
import logging
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from tempfile import TemporaryDirectory, gettempdir
from typing import Any

from invrob.empirical.inference import cores
from invrob.errors import InputError

QUIET = {  # read by Ray when it is imported
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
}
OBJECT_STORE = 80 * 2**20  # bytes; little more than names and numbers goes through it, Ray asks for 75 MiB at least
HELP = "`ray start --head` starts a cluster; without address and RAY_ADDRESS one is started for the run"


def imported(retries: int) -> Any:
    """The module ray, set up to print little. Raises InputError where it is missing."""
    for name, value in {**QUIET, "RAY_task_oom_retries": str(retries)}.items():
        os.environ.setdefault(name, value)
    try:
        return importlib.import_module("ray")
    except ImportError:
        raise InputError("executor = 'ray' needs Ray on every machine: pip install 'invrob[ray]'") from None


@contextmanager
def connected(ray: Any, address: str | None) -> Iterator[None]:
    """A connection to the cluster at `address`, else at $RAY_ADDRESS, else to one that lives as long as the block; the
    caller's own connection where there is one."""
    if ray.is_initialized():
        yield
        return
    address, handler = address or os.environ.get("RAY_ADDRESS") or "local", signal.getsignal(signal.SIGTERM)
    check_address(address)
    short = None if len(gettempdir()) < 12 else "/tmp"  # noqa: S108  # a socket's path has 107 characters at most  # nosec B108
    with TemporaryDirectory(prefix=f"invrob-ray-{os.getpid()}-", dir=short, ignore_cleanup_errors=True) as folder:
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if address == "local":
            options |= {"num_cpus": cores(), "object_store_memory": OBJECT_STORE, "_temp_dir": folder}
            options["include_dashboard"] = False
        try:
            ray.init(address, **options)
        except (ConnectionError, RuntimeError, ValueError, AssertionError) as error:
            why = (str(error).strip().splitlines() or [type(error).__name__])[0]
            if "AuthToken" in str(error.__cause__):
                why = "the cluster wants a token: export RAY_AUTH_MODE=token, and have its head's ~/.ray/auth_token"
            raise InputError(f"address = {address}: {why} ({HELP})") from None
        signal.signal(signal.SIGTERM, handler)  # Ray sets its own
        try:
            yield
        finally:
            with suppress(Exception):  # the run is over, and its results are in its directory
                ray.shutdown()


def check_address(address: str) -> None:
    """Raises InputError where nothing listens at `address`; Ray itself tries for minutes."""
    if address in ("auto", "local"):
        return
    host, _, port = address.rpartition(":")
    if "//" in address or not (host and port.isdecimal()):
        raise InputError(
            f"address = {address} must be auto or HOST:PORT, as `ray start --head` prints it: start the run on a "
            "machine of the cluster, which sees the run directory"
        )
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise InputError(f"address = {address}: no Ray cluster answers, {error} ({HELP})") from None
