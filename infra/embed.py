#!/usr/bin/env python3
"""Copies files of this directory into template.yaml, which CloudFormation needs in one piece.

The copy of a file is a block scalar of YAML between two comments:

    # <embed infra/FILE>
    key: |
      the copy
    # </embed>

Run it after a change of such a file; `--check` only reports a copy that differs.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
TEMPLATE = ROOT / "template.yaml"
BLOCK = re.compile(
    r"(?P<begin>^(?P<indent> *)# <embed (?P<file>\S+)>\n)(?P<header>[^\n]*\|\n)"
    r".*?(?P<end>^ *# </embed>\n)",
    re.MULTILINE | re.DOTALL,
)


def embedded(template):
    """The template with the present content of every embedded file."""

    def copy(match):
        indent = match["indent"] + "  "
        lines = (ROOT / match["file"]).read_text().splitlines()
        text = "".join(f"{indent}{line}\n" if line else "\n" for line in lines)
        return match["begin"] + match["header"] + text + match["end"]

    result, count = BLOCK.subn(copy, template)
    if count == 0:
        sys.exit("template.yaml has no embedded file")
    return result


def main():
    old = TEMPLATE.read_text()
    new = embedded(old)
    if "--check" in sys.argv[1:]:
        if old != new:
            sys.exit("template.yaml has an old copy of a file of infra/: run infra/embed.py")
    else:
        TEMPLATE.write_text(new)


if __name__ == "__main__":
    main()
