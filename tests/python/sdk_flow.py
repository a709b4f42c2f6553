"""Scenarios of the official SDK against a running service, in groups.

    python sdk_flow.py GROUP

One line per scenario is printed; the first one that goes otherwise than it should ends the run.
"""

import sys
import time

import clusters
import ends
import files
import jobs
import resources

GROUPS = {
    "resources": resources.SCENARIOS,
    "jobs": jobs.SCENARIOS,
    "files": files.SCENARIOS,
    "ends": ends.SCENARIOS,
    "clusters": clusters.SCENARIOS,
}


def main():
    for scenario in GROUPS[sys.argv[1]]:
        begin = time.monotonic()
        print(scenario.__name__.replace("_", " "), end=" ", flush=True)
        scenario()
        print(f"- {time.monotonic() - begin:.1f} s", flush=True)


if __name__ == "__main__":
    main()
