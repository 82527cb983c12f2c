"""Prints the closing line `N passed, N failed[, N skipped]` of a vitest run from its JSON report.

    closing_line.py REPORT

What failed and what was skipped is listed on standard error before it. Fails when there is no report, when the report
holds no executed test, or when something in it failed: a line is never printed that the runner did not report.
"""

import json
import sys
from pathlib import Path


def main() -> int:
    try:
        report = json.loads(Path(sys.argv[1]).read_text())
    except (FileNotFoundError, json.JSONDecodeError) as error:
        print(f"the test runner left no results: {error}", file=sys.stderr)
        return 1

    passed, failed, skipped = [], [], []
    for file in report["testResults"]:
        tests = file["assertionResults"]
        for test in tests:
            kind = {"passed": passed, "failed": failed}.get(test["status"], skipped)
            kind.append(f"{file['name']}: {test['fullName']}")
        # A file that does not load, or whose hook fails, has failed without a failed test.
        if file["status"] == "failed" and not any(test["status"] == "failed" for test in tests):
            failed.append(f"{file['name']}: {file.get('message', '')}")

    for title, names in (("failed", failed), ("skipped", skipped)):
        for name in names:
            print(f"{title}: {name}", file=sys.stderr)
    if not passed and not failed:
        print("the test runner executed no test", file=sys.stderr)
        return 1
    sys.stderr.flush()
    print(f"{len(passed)} passed, {len(failed)} failed" + (f", {len(skipped)} skipped" if skipped else ""), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
