"""Metrics that a training script reports: copy this file beside the script.

    import metrics

    for step in range(1000):
        loss = train(step)
        if step % 10 == 0:
            metrics.report(step, loss=loss)

`batchai job show` shows the latest values while the job runs and after its end. In a job of several processes only one of
them reports.
"""

import json
import os


def report(step, **values):
    """Appends a line to `metrics.jsonl` in the first output directory; without one, prints it.

    `values` are numbers, or what `float` takes, such as a tensor with one element. Steps count over the whole run.
    """
    line = json.dumps({"step": int(step), **{name: float(value) for name, value in values.items()}})
    outputs = sorted(name for name in os.environ if name.startswith("AZ_BATCHAI_OUTPUT_"))
    if not outputs:
        print(line, flush=True)
        return
    with open(os.path.join(os.environ[outputs[0]], "metrics.jsonl"), "a", encoding="utf-8") as file:
        file.write(line + "\n")
