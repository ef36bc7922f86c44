#!/usr/bin/env python3
"""Counts what ctest ran: scripts/test_summary.py JUNIT_FILE... prints `N run, S skipped (reasons)`.

Of tests that were run once more (X.again.xml beside X.xml) the second result counts, and their number is said. Fails
when a test failed or when a file holds no test at all: a run of nothing must not look like a success.
`--selftest` proves that.
"""
import contextlib
import io
import re
import sys
import tempfile
import xml.etree.ElementTree as xml
from collections import Counter


def reason(case):
    """What the test itself said (GoogleTest prints `file:line: Skipped` and then the text), else what ctest knows."""
    said = re.search(r": Skipped\n+(?!\[)([^\n]+)", case.findtext("system-out") or "")
    if said:
        return said.group(1).strip()
    node = case.find("skipped")
    return node.get("message") or "no reason given" if node is not None else "did not run"


def cases_of(name):
    return xml.parse(name).getroot().findall(".//testcase")


def summarise(names):
    run, failed, empty, reasons = 0, [], [], Counter()
    again = {name: {case.get("name"): case for case in cases_of(name)} for name in names if name.endswith(".again.xml")}
    for name in names:
        if name in again:
            print(f"{len(again[name])} tests of {name.removesuffix('.again.xml')} ran twice, since MySQL itself had crashed")
            continue
        second = again.get(name.removesuffix(".xml") + ".again.xml", {})
        cases = cases_of(name)
        if not cases:
            empty.append(name)
        for case in cases:
            case = second.get(case.get("name"), case)
            status = case.get("status")
            if case.find("skipped") is not None or status in ("notrun", "disabled"):
                reasons[reason(case)] += 1
            else:
                run += 1
            if case.find("failure") is not None or status == "fail":
                failed.append(f"{name}: {case.get('name')}")
    for line in failed:
        print(f"failed: {line}")
    for name in empty:
        print(f"no tests in {name}")
    listed = ", ".join(f"{text}: {n}" for text, n in sorted(reasons.items()))
    print(f"{run} run, {sum(reasons.values())} skipped" + (f" ({listed})" if listed else ""))
    return 1 if failed or empty else 0


def selftest():
    passed, broken = '<testcase name="{}" status="run"/>', '<testcase name="{}" status="fail"><failure/></testcase>'
    skipped = '<testcase name="{}" status="notrun"><skipped message="no MySQL"/></testcase>'
    wrong = []
    for first, second, code, said in [
            ([passed, skipped], None, 0, "1 run, 1 skipped (no MySQL: 1)"), ([passed, broken], None, 1, "failed: "), ([], None, 1, "no tests in"),
            ([passed, broken], {1: passed}, 0, "2 run, 0 skipped"), ([broken, broken], {1: passed}, 1, "failed: "),
            ([passed, broken], {1: broken}, 1, "1 tests of ")]:
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()) as printed:
            reports = {"x": dict(enumerate(first))} | ({"x.again": second} if second else {})
            for name, cases in reports.items():
                with open(f"{folder}/{name}.xml", "w", encoding="utf-8") as out:
                    out.write("<testsuite>" + "".join(case.format(at) for at, case in cases.items()) + "</testsuite>")
            got = summarise([f"{folder}/{name}.xml" for name in sorted(reports)])
        if got != code or said not in printed.getvalue():
            wrong.append(f"{first}, {second}: {got}, {printed.getvalue()}")
    print("\n".join(wrong), end="")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(selftest() if sys.argv[1:] == ["--selftest"] else summarise(sys.argv[1:]))
