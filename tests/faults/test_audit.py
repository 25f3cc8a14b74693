"""tools/audit.py: what is known to be vulnerable fails, what could not be asked is said and does not pass for clean."""

import importlib.util
from pathlib import Path

import pytest

SPEC = importlib.util.spec_from_file_location("audit", Path(__file__).resolve().parents[2] / "tools/audit.py")
audit = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(audit)

FLAW = {"id": "PYSEC-1", "fix_versions": ["2.0"]}


def package(name, *flaws):
    return {"name": name, "version": "1.0", "vulns": list(flaws)}


SKIPPED = {"name": "a", "skip_reason": "Dependency not found on PyPI and could not be audited: a (1.0)"}


@pytest.mark.parametrize(
    ("packages", "code", "said"),
    [
        ([package("a"), package("b")], 0, "no known vulnerabilities in 2 packages"),
        ([package("a"), package("b", FLAW)], 1, "b 1.0: PYSEC-1, fixed in 2.0"),
        ([SKIPPED] * 9 + [package("b", FLAW)], 1, "b 1.0: PYSEC-1, fixed in 2.0"),
        ([SKIPPED] * 3, 0, "NOT AUDITED: the advisory service does not know 3 of 3 packages"),
        ([], 0, "NOT AUDITED"),
    ],
)
def test_an_answer_is_judged(packages, code, said):
    judged = audit.judged({"dependencies": packages})
    assert judged[0] == code
    assert said in judged[1]


def test_a_service_out_of_reach_is_a_warning_and_any_other_failure_is_one():
    assert audit.failed("Traceback\nrequests.exceptions.ConnectionError: no route")[0] == 0
    assert audit.failed("No module named pip_audit") == (1, "pip-audit failed: No module named pip_audit")
    assert audit.failed("")[0] == 1
