"""The error of everything that comes from outside: it says what was expected, what was found and how to mend it."""


class DataError(ValueError):
    """Input from outside that cannot be used. `exit_code` is the status a command ends with."""

    exit_code = 1

    def __init__(self, where: str, *, expected: str, found: str, remedy: str) -> None:
        super().__init__(f"{where}: expected {expected}; found {found}; {remedy}")


class UsageError(DataError):
    """A command or a configuration was written wrongly; commands end with status 2."""

    exit_code = 2
