"""python tools/audit.py [LOCK]: known vulnerabilities of the pinned packages, by pip-audit.

Exit code 1 where one is known. Where the advisory service is not reachable, or does not know most of the packages (a
mirror of PyPI has the files and not the advisories, and pip-audit calls that clean), a warning and 0: what could not be
asked is neither clean nor a fault of ours."""

import json
import subprocess  # of a fixed command  # nosec B404
import sys
from typing import Any

UNREACHABLE = ("ConnectionError", "Max retries exceeded", "ServiceError", "Timeout", "HTTPError")
KNOWN = 0.9  # share of the packages that a service must know for its answer to count


def judged(answer: dict[str, Any]) -> tuple[int, str]:
    """The exit code and what to say, of pip-audit's JSON."""
    packages = answer["dependencies"]
    asked = [package for package in packages if "skip_reason" not in package]
    found = [
        f"{package['name']} {package['version']}: {flaw['id']}, fixed in {', '.join(flaw['fix_versions']) or 'nothing'}"
        for package in asked
        for flaw in package["vulns"]
    ]
    if found:
        return 1, "\n".join(["known vulnerabilities:", *found])
    if len(asked) < KNOWN * len(packages) or not packages:
        skipped = len(packages) - len(asked)
        return 0, f"WARNING: NOT AUDITED: the advisory service does not know {skipped} of {len(packages)} packages"
    return 0, f"no known vulnerabilities in {len(asked)} packages"


def failed(text: str) -> tuple[int, str]:
    """The same, where pip-audit gave no answer: its stderr, or why it was stopped."""
    last = (text.strip().splitlines() or ["no answer"])[-1][:300]
    if any(sign in text for sign in UNREACHABLE):
        return 0, f"WARNING: NOT AUDITED: the advisory service is not reachable: {last}"
    return 1, f"pip-audit failed: {last}"


def main(lock: str) -> int:
    command = [sys.executable, "-m", "pip_audit", "-r", lock, "--require-hashes", "--disable-pip", "-f", "json"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)  # noqa: S603  # nosec B603
        code, said = judged(json.loads(done.stdout))
    except json.JSONDecodeError:
        code, said = failed(done.stderr)
    except subprocess.TimeoutExpired as error:
        code, said = failed(f"ConnectionError: {error}")
    print(said, file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "requirements.lock"))
