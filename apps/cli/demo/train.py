#!/usr/bin/env python3
"""Trains a classifier of handwritten digits in plain Python: the job of the demonstration.

It owns the output directory, which all attempts of a job share:

    checkpoint.json   the state of the training, written after every epoch and on SIGTERM
    metrics.jsonl     loss and accuracy of each epoch, a line of JSON for each, which the service shows as curves
    model.json        the trained weights, once training is complete
    result.json       the result, written last: it exists only if the other files are complete

An interrupted run that is resumed ends with exactly the weights of an uninterrupted run. So the
order of the images depends only on the seed and the epoch, and a checkpoint needs no state of a
random number generator. (Exactly: with the same Python on the same kind of machine. Others may
round sums differently.)

The network has one hidden layer of tanh units, or none (multinomial logistic regression), and is
trained by mini-batch gradient descent with momentum on the cross-entropy.
"""

import argparse
import gzip
import hashlib
import json
import os
import signal
import sys
import threading
import time
from dataclasses import dataclass
from math import exp, isfinite, log, tanh
from operator import mul
from pathlib import Path
from random import Random

CLASSES = 10
PIXEL_MAXIMUM = 16
HELD_OUT_SHARE = 5  # one image in five is for testing
EXIT_INTERRUPTED = 128 + signal.SIGTERM  # 143, what a shell reports for a process ended by SIGTERM


@dataclass
class State:
    """Everything that training changes, and so the content of a checkpoint."""

    layers: list  # per layer one row of weights for each unit; the last weight of a row is its bias
    velocities: list  # the momentum, of the same shape
    epoch: int = 0  # epochs completed
    batch: int = 0  # mini-batches completed in the current epoch
    loss_sum: float = 0.0  # over the images of these mini-batches
    last_loss: float = 0.0  # mean over the images of the last completed epoch
    times_resumed: int = 0
    seconds: float = 0.0  # over all attempts, without work that was lost


def main():
    # Installed first, so that an interruption while the images are read is handled too.
    interrupted = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: interrupted.set())

    options = parse_arguments()
    options.output.mkdir(parents=True, exist_ok=True)
    compressed = (options.data / "digits.csv.gz").read_bytes()
    training, held_out = split(read_digits(compressed))
    parameters = {
        "epochs": options.epochs,
        "hidden": options.hidden,
        "learningRate": options.learning_rate,
        "batchSize": options.batch_size,
        "l2": options.l2,
        "momentum": options.momentum,
        "seed": options.seed,
        "dataSha256": hashlib.sha256(compressed).hexdigest(),
    }

    checkpoint = options.output / "checkpoint.json"
    state = load_checkpoint(checkpoint, parameters)
    resumed_from = state.epoch if state else None
    if state:
        say(f"resumed from the checkpoint of epoch {state.epoch}"
            + (f", mini-batch {state.batch}" if state.batch else ""))
        state.times_resumed += 1
    else:
        say("starting from scratch")
        for name in ("result.json", "metrics.jsonl"):
            (options.output / name).unlink(missing_ok=True)  # of an earlier run
        state = initial_state(len(training[0][0]), parameters)

    train(state, parameters, training, held_out, options.output, interrupted)

    test_accuracy = accuracy(state.layers, held_out)
    write_json(options.output / "model.json", {
        "hiddenActivation": "tanh", "pixelMaximum": PIXEL_MAXIMUM, "layers": state.layers,
    })
    write_json(options.output / "result.json", {
        "testAccuracy": test_accuracy,
        "trainLoss": state.last_loss,
        "resumedFromEpoch": resumed_from,
        "timesResumed": state.times_resumed,
        "seconds": round(state.seconds, 3),
        **parameters,
    })
    say(f"final test accuracy {test_accuracy:.4f}")


def train(state, parameters, training, held_out, output, interrupted):
    """Trains up to the last epoch, or up to the mini-batch during which it is interrupted."""
    epochs, batch_size = parameters["epochs"], parameters["batchSize"]
    started = time.monotonic() - state.seconds

    def save():
        state.seconds = time.monotonic() - started
        save_checkpoint(output / "checkpoint.json", parameters, state)

    while state.epoch < epochs:
        order = shuffled(training, f"epoch {state.epoch} of seed {parameters['seed']}")
        for start in range(state.batch * batch_size, len(order), batch_size):
            state.loss_sum += step(state, parameters, order[start:start + batch_size])
            state.batch += 1
            if interrupted.is_set():
                save()
                say(f"interrupted at epoch {state.epoch}: checkpoint written")
                sys.exit(EXIT_INTERRUPTED)

        state.epoch += 1
        state.last_loss = state.loss_sum / len(order)
        state.batch, state.loss_sum = 0, 0.0
        if not isfinite(state.last_loss):
            sys.exit("training diverged: the loss is not a finite number; lower --learning-rate")
        save()
        test_accuracy = accuracy(state.layers, held_out)
        report(output, state.epoch, loss=state.last_loss, accuracy=test_accuracy)
        say(f"epoch {state.epoch:{len(str(epochs)) + 1}}/{epochs}  loss {state.last_loss:.4f}  "
            f"test accuracy {test_accuracy:.4f}")


def report(output, step, **values):
    """Tells the service how far the training is."""
    with open(output / "metrics.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps({"step": step, **values}) + "\n")


# --- The network ---


def initial_state(inputs, parameters):
    """Small random weights, scaled so that the first scores neither vanish nor saturate."""
    random = Random(f"weights of seed {parameters['seed']}")
    hidden = parameters["hidden"]
    shapes = [(hidden, inputs), (CLASSES, hidden + 1)] if hidden else [(CLASSES, inputs)]
    return State(
        layers=[
            [[random.gauss(0.0, columns ** -0.5) for _ in range(columns)] for _ in range(rows)]
            for rows, columns in shapes
        ],
        velocities=[[[0.0] * columns for _ in range(rows)] for rows, columns in shapes],
    )


def step(state, parameters, batch):
    """Trains on one mini-batch; returns the sum of its losses before the update."""
    images, labels = zip(*batch)
    loss, gradients = backward(state.layers, images, labels)
    rate = parameters["learningRate"] / len(batch)
    decay = parameters["learningRate"] * parameters["l2"]
    momentum = parameters["momentum"]
    for layer, velocities, gradient in zip(state.layers, state.velocities, gradients):
        for unit, (weights, velocity, slopes) in enumerate(zip(layer, velocities, gradient)):
            velocity = [momentum * v - rate * g - decay * w
                        for v, g, w in zip(velocity, slopes, weights)]
            velocities[unit] = velocity
            layer[unit] = [w + v for w, v in zip(weights, velocity)]
    return loss


def forward(layers, images):
    """The inputs of each layer and the score of each class, for every image."""
    inputs = [images]
    for layer in layers[:-1]:
        inputs.append([[*map(tanh, row), 1.0] for row in product(inputs[-1], layer)])
    return inputs, product(inputs[-1], layers[-1])


def backward(layers, images, labels):
    """The sum of the losses of the images, and its gradient by the weights of each layer."""
    inputs, scores = forward(layers, images)
    loss, errors = cross_entropy(scores, labels)
    gradients = []
    for depth in reversed(range(len(layers))):
        gradients.insert(0, product(transpose(errors), transpose(inputs[depth])))
        if depth > 0:
            # The constant input of the bias belongs to no unit: its column is omitted.
            errors_by_unit = product(errors, transpose(layers[depth])[:-1])
            errors = [[b * (1.0 - h * h) for b, h in zip(*rows)]
                      for rows in zip(errors_by_unit, inputs[depth])]
    return loss, gradients


def cross_entropy(scores, labels):
    """The sum of the losses, and its derivative by each score."""
    loss, errors = 0.0, []
    for row, label in zip(scores, labels):
        highest = max(row)  # subtracted, so that no exponential overflows
        powers = [exp(score - highest) for score in row]
        total = sum(powers)
        loss += log(total) + highest - row[label]
        error = [power / total for power in powers]
        error[label] -= 1.0
        errors.append(error)
    return loss, errors


def accuracy(layers, digits):
    images, labels = zip(*digits)
    _, scores = forward(layers, images)
    return sum(row.index(max(row)) == label for row, label in zip(scores, labels)) / len(digits)


def product(left, right):
    """The matrix `left` times the transpose of `right`.

    Nearly all of the time is spent here. Both arguments are lists of rows, so that one call into C
    handles a pair of rows instead of one element.
    """
    return [[sum(map(mul, row, other)) for other in right] for row in left]


def transpose(matrix):
    return list(zip(*matrix))


# --- The images ---


def read_digits(compressed):
    """Pairs of an image and its label; an image is its pixels from 0 to 1 and a 1 for the bias."""
    rows = (list(map(int, line.split(b","))) for line in gzip.decompress(compressed).splitlines())
    return [([pixel / PIXEL_MAXIMUM for pixel in pixels] + [1.0], label)
            for *pixels, label in rows]


def split(digits):
    """The images to learn from and those held out for testing: the same for every seed."""
    digits = shuffled(digits, "held out")
    held_out = len(digits) // HELD_OUT_SHARE
    return digits[held_out:], digits[:held_out]


def shuffled(items, seed):
    items = list(items)
    Random(seed).shuffle(items)
    return items


# --- Checkpoints ---


def save_checkpoint(path, parameters, state):
    content = {"parameters": parameters, "state": vars(state)}
    write_json(path, {"sha256": digest(content), **content})


def load_checkpoint(path, parameters):
    """The state to resume from; None without a valid checkpoint.

    A file that exists but cannot be read ends the attempt: starting over because of a temporary
    error of the storage would overwrite hours of work.
    """
    try:
        content = json.loads(path.read_bytes())
        recorded = content.pop("sha256")
        if digest(content) != recorded:
            raise ValueError("its digest does not match")
    except FileNotFoundError:
        return None
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        say(f"the checkpoint is corrupt and is ignored: {error}")
        return None
    if content["parameters"] != parameters:
        say("the checkpoint belongs to other parameters or data and is ignored")
        return None
    return State(**content["state"])


def digest(content):
    """JSON preserves all bits of a number, so a checkpoint that was read has the same digest."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def write_json(path, content):
    """Replaces the file atomically: after a crash it has the old or the new content."""
    # The process id keeps a lost attempt that still runs from writing to the same file.
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(json.dumps(content))
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


# --- The command line ---


def parse_arguments():
    parser = argparse.ArgumentParser(description="Trains a classifier of handwritten digits.")
    parser.add_argument("--data", type=Path, default=Path(__file__).parent,
                        help="directory of digits.csv.gz (default: the directory of this script)")
    parser.add_argument("--output", type=Path, required=True,
                        help="directory of checkpoint and results; must be shared by all attempts")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--hidden", type=int, default=32, help="hidden units; 0 for none")
    parser.add_argument("--learning-rate", type=float, default=0.05)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--l2", type=float, default=0.0001, help="weight decay")
    parser.add_argument("--momentum", type=float, default=0.9)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.epochs < 1 or options.batch_size < 1 or options.hidden < 0:
        parser.error("--epochs and --batch-size must be at least 1, --hidden at least 0")
    return options


def say(line):
    """Prints without buffering, so that a reader of a pipe or file sees the progress."""
    print(line, flush=True)


if __name__ == "__main__":
    main()
