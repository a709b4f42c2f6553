"""Prints the names of the variables that the template sets for each function, as JSON."""

import json

import template_load


def main():
    template = template_load.source()
    values = template_load.parameters(template)
    functions = template_load.functions(template_load.transformed(template, values))
    print(json.dumps({
        name: sorted(function["Properties"]["Environment"]["Variables"])
        for name, (_, function) in functions.items()
    }))


if __name__ == "__main__":
    main()
