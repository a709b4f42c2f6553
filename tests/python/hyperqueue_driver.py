"""One round of the benchmark on HyperQueue's side.

    python hyperqueue_driver.py throughput JOBS     JOBS jobs `bash -c true`, submitted one by one
    python hyperqueue_driver.py latency JOBS        from submission to the process, one after another

Server, one worker of 4 cores and client live in this process, as `LocalCluster` has it. The last
line of the output is a JSON object with the figures.

`wait_for_jobs` asks once a second, which is too coarse for a round of a few seconds. What has ended
is seen by the page faults of reaped children instead, which every process adds to: one system call.
`wait_for_jobs` then says whether all of them succeeded.
"""

import json
import os
import resource
import sys
import time

from hyperqueue import Job, LocalCluster
from hyperqueue.cluster import WorkerConfig

CORES = 4

# The polling interval for children in seconds, which is the resolution of `throughput`.
POLL = 0.002

# If no child has ended for this many seconds, all have.
QUIET = 0.5

# The timeout of a job of `latency`, and the pause after each.
PATIENCE = 60
PAUSE = 0.01


def main():
    measurement, jobs = sys.argv[1], int(sys.argv[2])
    with LocalCluster() as cluster:
        cluster.start_worker(WorkerConfig(cores=CORES))
        client = cluster.client()
        # The first job waits for the worker to start.
        client.wait_for_jobs([client.submit(job("true"))])
        figures = {"throughput": throughput, "latency": latency}[measurement](client, jobs)
    print(json.dumps(figures), flush=True)


def job(command_line):
    it = Job()
    it.program(["bash", "-c", command_line])
    return it


def reaped():
    """A number that grows with each ended child."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt


def throughput(client, count):
    cpu = os.times()
    seen = reaped()
    begin = end = time.monotonic()
    submitted = [client.submit(job("true")) for _ in range(count)]
    accepted = time.monotonic()
    while time.monotonic() - max(end, accepted) < QUIET:
        time.sleep(POLL)
        now = reaped()
        if now != seen:
            seen, end = now, time.monotonic()
    client.wait_for_jobs(submitted)
    assert reaped() == seen, "a job ended after all had"
    spent = os.times()
    return {
        "seconds": end - begin,
        "accepted_seconds": accepted - begin,
        "own_cpu_seconds": spent.user + spent.system - cpu.user - cpu.system,
        "jobs_cpu_seconds": spent.children_user + spent.children_system
        - cpu.children_user - cpu.children_system,
    }


def latency(client, count):
    millis = []
    clock = os.path.abspath("clock")
    submitted = []
    for number in range(count):
        path = f"{clock}-{number}"
        it = job(f"echo $EPOCHREALTIME > {path}")
        seen = reaped()
        before = time.time()
        submitted.append(client.submit(it))
        deadline = time.monotonic() + PATIENCE
        while reaped() == seen:
            assert time.monotonic() < deadline, f"job {number} does not end"
            time.sleep(0.001)
        with open(path) as file:
            millis.append((float(file.read().replace(",", ".")) - before) * 1000)
        time.sleep(PAUSE)
    client.wait_for_jobs(submitted)
    return {"millis": millis}


main()
