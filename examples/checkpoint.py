"""Checkpoints for training scripts that may be interrupted: copy this file beside the script.

    import checkpoint

    path = os.path.join(os.environ["AZ_BATCHAI_OUTPUT_MODEL"], "state")
    step = checkpoint.load(path, default=0)
    while step < 1000:
        train(step)
        step += 1
        if checkpoint.is_requested() or step % 100 == 0:
            checkpoint.save(path, step)
        if checkpoint.is_requested():
            sys.exit(checkpoint.INTERRUPTED)

Before a node is taken away, every process of the job gets SIGTERM and some time: two minutes on a spot instance, ten
seconds when the job is terminated; `seconds_left()` tells how much. The next attempt has the same output directories, so it finds the checkpoint.
For PyTorch pass `write=torch.save` and `read=torch.load`.
"""

import os
import pickle
import signal
import time

# Exit code of a script that was asked to stop: 128 + SIGTERM, as a shell shows it.
INTERRUPTED = 143

_requested = False


def _request(_signal, _frame):
    global _requested
    _requested = True


signal.signal(signal.SIGTERM, _request)


def is_requested():
    """Whether the script has been asked to save its work and to exit."""
    return _requested


def seconds_left():
    """How long until the process is killed; None before it has been asked to stop."""
    try:
        with open(os.environ["BATCHAI_STOP_FILE"], encoding="utf-8") as file:
            notice = dict(line.rstrip("\n").split("=", 1) for line in file)
        return max(0.0, float(notice["BATCHAI_STOP_AT"]) - time.time())
    except (KeyError, FileNotFoundError):
        return None


def save(path, state, write=pickle.dump):
    """Replaces the checkpoint at once: a reader finds the former one or this one, whatever happens meanwhile."""
    temporary = f"{path}.{os.getpid()}.new"
    with open(temporary, "wb") as file:
        write(state, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def load(path, default=None, read=pickle.load):
    """The last checkpoint, or `default` where there is none."""
    try:
        with open(path, "rb") as file:
            return read(file)
    except FileNotFoundError:
        return default
