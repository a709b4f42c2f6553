"""Checks of template.yaml: the transformed template, and the stack that moto creates from it.

    python template_checks.py                 runs every check
    python template_checks.py --mutations     breaks the template once for each check

A check is a function that yields what is wrong. `template_mutations.py` has a change for each check
that it must report, so a check that cannot fail is itself reported.
"""

import argparse
import sys

import template_check_resources
import template_check_roles
import template_check_service
import template_load
from template_subject import CHECKS, Subject

# Imported for the checks that they register.
MODULES = [template_check_service, template_check_resources, template_check_roles]


def problems(subject, only=None):
    """(name of the check, what is wrong)"""
    for it in CHECKS:
        if only in (None, it.__name__):
            for problem in it(subject):
                yield it.__name__, problem


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--mutations", action="store_true")
    if arguments.parse_args().mutations:
        import template_mutations

        found = list(template_mutations.undetected())
    else:
        subject = Subject(template_load.source())
        found = [f"{name}: {problem}" for name, problem in problems(subject)]
    print("\n".join(found))
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
