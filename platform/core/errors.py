"""Errors that every package shares. Each carries its facts and writes its own sentence."""


class PlatformError(Exception):
    """The root of everything that the platform itself refuses or reports."""


class Misconfigured(PlatformError):
    """A setting is wrong; the message names it and says what to do."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("The settings need attention:\n" + "\n".join(f"  - {problem}" for problem in problems))
