"""What measurements that run by themselves ask on their command line alike: the engine, and settings to measure by."""

import argparse
from collections.abc import Mapping


def new_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser that knows --engine and --set. description: the module's own docstring, shown as it is."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=("postgresql", "sqlite"), default="postgresql")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the processes")
    return parser


def overrides_of(options: argparse.Namespace) -> Mapping[str, str]:
    """The settings that --set gave, by name."""
    return dict(setting.split("=", 1) for setting in options.set)
