"""Tests of train.py: an interruption may cost time, but must not change the result.

Run with `python3 -m unittest` in this directory.
"""

import json
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path
from unittest import mock

import train

SCRIPT = Path(train.__file__)
# Not a divisor of the 1438 images: the last mini-batch of an epoch is a smaller one.
BATCH_SIZE = 12
BATCHES = 1438 // BATCH_SIZE + 1
SMALL = ["--hidden", "8", "--epochs", "6", "--batch-size", str(BATCH_SIZE)]
RUN_FIELDS = ("seconds", "resumedFromEpoch", "timesResumed")


def start(output, *arguments):
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), "--output", str(output), *SMALL, *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def run(output, *arguments):
    process = start(output, *arguments)
    printed, _ = process.communicate()
    return process.returncode, printed.splitlines()


def end_after(process, beginning, signal_number):
    """Sends the signal after a line with this prefix; returns the exit code and the last line."""
    lines = []
    for line in process.stdout:
        lines.append(line.rstrip())
        if line.startswith(beginning):
            process.send_signal(signal_number)
    process.stdout.close()
    return process.wait(), lines[-1]


def read(output, name):
    return json.loads((output / name).read_text())


def metrics(output):
    return [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]


def outcome(output):
    """The results that must not depend on interruptions."""
    result = read(output, "result.json")
    return read(output, "model.json"), {k: v for k, v in result.items() if k not in RUN_FIELDS}


class InterruptedAfter:
    """Replaces the event that SIGTERM sets: it is set from the given call of is_set on."""

    def __init__(self, batches):
        self.left = batches

    def is_set(self):
        self.left -= 1
        return self.left <= 0


class WithDirectory(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.output = Path(directory.name)


class Interruption(WithDirectory):
    @classmethod
    def setUpClass(cls):
        directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(directory.cleanup)
        cls.code, cls.printed = run(Path(directory.name))
        cls.result = read(Path(directory.name), "result.json")
        cls.uninterrupted = outcome(Path(directory.name))
        cls.metrics = metrics(Path(directory.name))

    def test_an_uninterrupted_run(self):
        self.assertEqual(self.code, 0)
        self.assertEqual(self.printed[0], "starting from scratch")
        self.assertRegex(self.printed[1], r"^epoch  1/6  loss \d\.\d{4}  test accuracy 0\.\d{4}$")
        self.assertRegex(self.printed[-1], r"^final test accuracy 0\.\d{4}$")
        self.assertEqual(len(self.printed), 1 + 6 + 1)
        self.assertIsNone(self.result["resumedFromEpoch"])
        self.assertEqual(self.result["timesResumed"], 0)
        self.assertEqual([point["step"] for point in self.metrics], [1, 2, 3, 4, 5, 6])
        self.assertEqual(self.metrics[-1]["loss"], self.result["trainLoss"])
        self.assertEqual(self.metrics[-1]["accuracy"], self.result["testAccuracy"])

    def test_sigterm_loses_nothing(self):
        for times, line in enumerate(["starting", "resumed", "resumed"]):
            code, last = end_after(start(self.output), line, signal.SIGTERM)
            self.assertEqual(code, 143, last)
            state = read(self.output, "checkpoint.json")["state"]
            self.assertEqual(last, f"interrupted at epoch {state['epoch']}: checkpoint written")
            self.assertEqual(state["times_resumed"], times)
            self.assertFalse((self.output / "result.json").exists())
        code, last = end_after(start(self.output), "epoch  2/", signal.SIGTERM)
        self.assertEqual(code, 143, last)
        epoch = read(self.output, "checkpoint.json")["state"]["epoch"]

        code, printed = run(self.output)
        self.assertEqual(code, 0)
        self.assertRegex(printed[0], f"^resumed from the checkpoint of epoch {epoch}")
        self.assertEqual(outcome(self.output), self.uninterrupted)
        self.assertEqual(metrics(self.output), self.metrics)
        result = read(self.output, "result.json")
        self.assertEqual(result["resumedFromEpoch"], epoch)
        self.assertEqual(result["timesResumed"], 4)

    def test_kill_leaves_a_complete_checkpoint(self):
        code, last = end_after(start(self.output), "epoch  2/", signal.SIGKILL)
        self.assertEqual(code, -signal.SIGKILL)
        self.assertRegex(last, "^epoch  [2-5]/6")

        code, printed = run(self.output)
        self.assertEqual(code, 0)
        self.assertRegex(printed[0], "^resumed from the checkpoint of epoch [2-6]$")
        self.assertEqual(outcome(self.output), self.uninterrupted)

    def test_kill_at_any_moment(self):
        """With epochs of one mini-batch, writing checkpoints takes as long as training."""
        arguments = ["--hidden", "0", "--batch-size", "2000", "--epochs", "1000000"]
        printed_epoch = 0
        for attempt in range(8):
            process = start(self.output, *arguments)
            first = process.stdout.readline()
            if attempt > 0:
                # The checkpoint may be ahead of the printed epoch, never behind it.
                self.assertRegex(first, "^resumed from the checkpoint of epoch")
                self.assertGreaterEqual(int(first.split()[-1]), printed_epoch)
            process.stdout.readline()
            time.sleep(0.0137 * attempt)
            process.kill()
            printed = process.communicate()[0].splitlines()
            if printed:
                printed_epoch = int(printed[-1].split("/")[0].split()[-1])

    def test_the_work_of_a_finished_run_is_not_repeated(self):
        run(self.output)
        code, printed = run(self.output)
        self.assertEqual(code, 0)
        self.assertEqual(printed[0], "resumed from the checkpoint of epoch 6")
        self.assertEqual(len(printed), 2)
        self.assertEqual(outcome(self.output), self.uninterrupted)

    def test_a_corrupt_checkpoint_is_ignored(self):
        run(self.output, "--epochs", "1")
        checkpoint = self.output / "checkpoint.json"
        whole = checkpoint.read_text()
        for corrupt in [
            "", "null", "[]", "{}", '{"sha256": 0}', whole[:len(whole) // 2],
            whole.replace('"epoch": 1,', '"epoch": 0,'), "\0" * 100,
        ]:
            with self.subTest(corrupt=corrupt[:20]):
                checkpoint.write_text(corrupt)
                code, printed = run(self.output, "--epochs", "1")
                self.assertEqual(code, 0)
                self.assertRegex(printed[0], "^the checkpoint is corrupt and is ignored: ")
                self.assertEqual(printed[1], "starting from scratch")

    def test_a_checkpoint_that_cannot_be_read_is_not_written_over(self):
        (self.output / "checkpoint.json").mkdir()
        code, printed = run(self.output)
        self.assertEqual(code, 1)
        self.assertIn("IsADirectoryError", printed[-1])

    def test_a_checkpoint_of_other_parameters_is_ignored(self):
        run(self.output, "--epochs", "1")
        _, printed = run(self.output, "--epochs", "1", "--learning-rate", "0.01")
        self.assertEqual(printed[:2], [
            "the checkpoint belongs to other parameters or data and is ignored",
            "starting from scratch",
        ])


class Training(WithDirectory):
    """Calls the functions directly, to interrupt at a given mini-batch and to compare numbers."""

    @classmethod
    def setUpClass(cls):
        compressed = (SCRIPT.parent / "digits.csv.gz").read_bytes()
        cls.digits = train.read_digits(compressed)
        cls.training, cls.held_out = train.split(cls.digits)
        cls.parameters = {
            "epochs": 2, "hidden": 4, "learningRate": 0.05, "batchSize": BATCH_SIZE, "l2": 0.001,
            "momentum": 0.9, "seed": 7,
        }
        silence = mock.patch.object(train, "say")
        silence.start()
        cls.addClassCleanup(silence.stop)

    def advance(self, state, interrupted_after):
        train.train(state, self.parameters, self.training, self.held_out,
                    self.output, InterruptedAfter(interrupted_after))

    def initial_state(self):
        return train.initial_state(len(self.training[0][0]), self.parameters)

    def test_an_interruption_at_any_mini_batch_changes_nothing(self):
        expected = self.initial_state()
        self.advance(expected, float("inf"))
        for batches in [1, 50, BATCHES - 1, BATCHES, BATCHES + 1]:
            with self.subTest(batches=batches):
                with self.assertRaises(SystemExit) as exit:
                    self.advance(self.initial_state(), batches)
                self.assertEqual(exit.exception.code, 143)

                checkpoint = self.output / "checkpoint.json"
                resumed = train.load_checkpoint(checkpoint, self.parameters)
                self.assertEqual(resumed.epoch * BATCHES + resumed.batch, batches)
                self.advance(resumed, float("inf"))
                self.assertEqual(resumed.layers, expected.layers)
                self.assertEqual(resumed.velocities, expected.velocities)
                self.assertEqual(resumed.last_loss, expected.last_loss)

    def test_held_out_images_are_never_trained_on(self):
        self.assertEqual(len(self.held_out), 359)
        self.assertEqual(len(self.training) + len(self.held_out), 1797)
        images = [{tuple(image) for image, _ in part} for part in (self.training, self.held_out)]
        self.assertTrue(images[0].isdisjoint(images[1]))
        self.assertEqual(train.split(self.digits), (self.training, self.held_out))

    def test_gradients_are_the_slopes_of_the_loss(self):
        images, labels = zip(*self.training[:5])
        for hidden in (0, 4):
            layers = train.initial_state(65, {**self.parameters, "hidden": hidden}).layers
            _, gradients = train.backward(layers, images, labels)
            for layer, gradient in zip(layers, gradients):
                for unit, weight in [(0, 0), (1, -1), (3, 2)]:
                    before, losses = layer[unit][weight], []
                    for change in (1e-5, -1e-5):
                        layer[unit][weight] = before + change
                        losses.append(train.backward(layers, images, labels)[0])
                    layer[unit][weight] = before
                    slope = (losses[0] - losses[1]) / 2e-5
                    self.assertAlmostEqual(gradient[unit][weight], slope, places=6)

    def test_seeds_differ_and_repeat(self):
        first, again = self.initial_state(), self.initial_state()
        other = train.initial_state(65, {**self.parameters, "seed": 8})
        self.assertEqual(first, again)
        self.assertNotEqual(first.layers, other.layers)


class Sweep(unittest.TestCase):
    def test_jobs_have_valid_names_and_differ(self):
        sweep = json.loads((SCRIPT.parent / "sweep.json").read_text())
        self.assertEqual(len(sweep), 8)
        self.assertEqual(len({job["name"] for job in sweep}), 8)
        self.assertEqual(len({job["arguments"] for job in sweep}), 8)
        for job in sweep:
            self.assertRegex(job["name"], r"^[-\w_]{1,40}$")


if __name__ == "__main__":
    unittest.main()
