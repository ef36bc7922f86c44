#!/usr/bin/env python3
"""Counts what ctest ran: scripts/test_summary.py JUNIT_FILE... prints `N run, S skipped (reasons)`.

Fails when a test failed or when a file holds no test at all: a run of nothing must not look like a success.
"""
import re
import sys
import xml.etree.ElementTree as xml
from collections import Counter


def reason(case):
    """What the test itself said (GoogleTest prints `file:line: Skipped` and then the text), else what ctest knows."""
    said = re.search(r": Skipped\n+(?!\[)([^\n]+)", case.findtext("system-out") or "")
    if said:
        return said.group(1).strip()
    node = case.find("skipped")
    return node.get("message") or "no reason given" if node is not None else "did not run"


def main():
    run, failed, empty, reasons = 0, [], [], Counter()
    for name in sys.argv[1:]:
        cases = xml.parse(name).getroot().findall(".//testcase")
        if not cases:
            empty.append(name)
        for case in cases:
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


if __name__ == "__main__":
    sys.exit(main())
