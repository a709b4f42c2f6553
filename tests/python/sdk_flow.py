"""Scenarios of the official SDK against a running service, in themes.

    python sdk_flow.py THEME      plays a theme against the service that the environment names
    python sdk_flow.py --check    sees to it that the themes together call every operation, and
                                  prints the operations with their scenarios

The environment has BATCHAI_TEST_ENDPOINT and BATCHAI_TEST_TOKEN. One line is printed per scenario.
The first expectation that is not met ends the run, with what was expected and the last exchanges
with the service.
"""

import importlib
import sys
import time
import traceback

import operations

THEMES = ["workspaces", "file_servers", "clusters", "jobs", "files", "ends", "account", "roles",
          "notebook", "contract"]

# How many exchanges a failed expectation prints.
EXCHANGES = 6


def main():
    if sys.argv[1:] == ["--check"]:
        return check()
    return play(sys.argv[1])


def play(theme):
    import scenarios
    for scenario in operations.scenarios_of(importlib.import_module(theme)):
        print(title(scenario), end=" ", flush=True)
        operations.forget()
        begin = time.monotonic()
        try:
            scenario()
            missing = set(scenario.operations) - operations.called()
            assert not missing, f"it says that it calls {sorted(missing)}, and does not"
        except Exception as error:
            print("- BROKEN", flush=True)
            sys.stdout.flush()
            traceback.print_exc()
            print("\nThe last exchanges:", file=sys.stderr)
            for answer in scenarios.answers[-EXCHANGES:]:
                print(scenarios.describe(answer), file=sys.stderr)
            print(f"\n{theme}: {title(scenario)}: {type(error).__name__}: {error}", file=sys.stderr)
            return 1
        print(f"- {time.monotonic() - begin:.1f} s", flush=True)
    return 0


def check():
    """Checks that the scenarios together declare all operations; `play` checks each scenario."""
    places = {operation: [] for operation in operations.OPERATIONS}
    for theme in THEMES:
        found = operations.scenarios_of(importlib.import_module(theme))
        assert found, f"{theme} has no scenario"
        for scenario in found:
            assert scenario.__doc__, f"{theme}: {title(scenario)}: it does not say what it does"
            for operation in scenario.operations:
                places[operation].append(f"{theme}: {title(scenario)}")
    for operation, found in places.items():
        print(f"{operation:35} {found[0] if found else '-'}")
    missing = [operation for operation, found in places.items() if not found]
    if missing:
        print(f"no scenario calls {', '.join(missing)}", file=sys.stderr)
    return 1 if missing else 0


def title(scenario):
    return scenario.__name__.replace("_", " ")


if __name__ == "__main__":
    sys.exit(main())
