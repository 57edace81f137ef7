"""The one error a user's data may cause on purpose.

Everything else that goes wrong is a bug or a machine fault and keeps its own Python exception.
"""


class RefusedInput(Exception):  # noqa: N818 - it names what happened to the input, as the exit codes do
    """The input cannot be measured, and why; the command line turns it into exit code 3.

    Args:
        code: kebab-case name of the reason, such as `no-sax`, for tables of refusals.
        message: what is wrong, where, and what to do, in one sentence for a person.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
