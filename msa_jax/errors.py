"""The one exception that means "the user can mend this"."""


class UserError(Exception):
    """Bad input: a path, key, file or value that the user gave and can put right.

    The message is one line that says what is wrong, where, and what to do. The command line prints it
    without a traceback and exits with code 2; Python callers catch it like any other exception.
    """

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(str(message).split()))
