"""The commands and their options are an interface: a change of them is meant, and told."""

from collections.abc import Iterator

from cyclopts import App

from ifc_bench.cli.app import COMMANDS, build_app
from tests.conftest import GOLDEN

LISTING = GOLDEN / "command_line.txt"


def options(command: App, path: tuple[str, ...]) -> Iterator[str]:
    """A line for each command: its name, its arguments and its options in alphabetical order."""
    below = sorted(name for name in command if not name.startswith("-"))
    for name in below:
        yield from options(command[name], (*path, name))
    if not below:
        names = {argument.name for argument in command.assemble_argument_collection()}
        yield " ".join([*path, *sorted(names - {"*", "--recipes"})])


def listing() -> str:
    app = build_app([])
    names = sorted(name for group in COMMANDS.values() for name in group)
    return "\n".join(line for name in names for line in options(app[name], (name,))) + "\n"


def test_the_commands_and_options_are_those_of_the_listing():
    """Where the change is meant: write `listing()` to the file, and a line in CHANGELOG.md."""
    assert listing() == LISTING.read_text()


def test_an_option_has_one_meaning():
    """Those that other commands spell in another way are not among them."""
    words = {word for line in listing().splitlines() for word in line.split()}
    assert not words & {"--frames", "--size", "--length"}
