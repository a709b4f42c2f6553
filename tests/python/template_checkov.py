"""Compares the findings of checkov with the exceptions in infra/checkov.yaml.

    python template_checkov.py TRANSFORMED

checks template.yaml and the transformed template in the file TRANSFORMED. A finding that is not
listed is an error, and so is a listed one that does not occur.
"""

import json
import pathlib
import subprocess
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def findings(template):
    """(check, logical id, title) of everything that checkov reports."""
    command = [pathlib.Path(sys.executable).with_name("checkov"), "--file", template]
    command += ["--framework", "cloudformation", "--output", "json", "--quiet", "--compact"]
    command += ["--skip-download"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        report = json.loads(done.stdout)
        summary = report["summary"]
    except (KeyError, TypeError, ValueError):
        sys.exit(f"checkov failed:\n{done.stdout}\n{done.stderr}")
    if summary["parsing_errors"] or summary["resource_count"] < 80 or summary["passed"] < 80:
        sys.exit(f"checkov did not read {template}: {summary}")
    for it in report["results"]["failed_checks"]:
        yield it["check_id"], it["resource"].rsplit(".", 1)[1], it["check_name"]


def main():
    listed = {}
    for entry in yaml.safe_load((ROOT / "infra/checkov.yaml").read_text()):
        if len(entry["reason"]) < 40:
            sys.exit(f"{entry['check']} has no reason")
        for resource in entry["resources"]:
            if (entry["check"], resource) in listed:
                sys.exit(f"{entry['check']} of {resource} is listed twice")
            listed[entry["check"], resource] = entry["reason"]
    found = {}
    for template in (ROOT / "template.yaml", pathlib.Path(sys.argv[1])):
        for check, resource, title in findings(template):
            found[check, resource] = title
    problems = [
        f"{check} {resource}: {title}"
        for (check, resource), title in sorted(found.items())
        if (check, resource) not in listed
    ]
    problems += [
        f"{check} {resource}: listed in infra/checkov.yaml, but checkov does not report it"
        for check, resource in sorted(set(listed) - set(found))
    ]
    print("\n".join(problems))
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
