"""What the wire's caller may do within the loop: end, or fail."""


class NoMore:
    """What stands for the end of the messages."""


NO_MORE = NoMore()


class Fault:
    """What the caller's messages or the journal raised within the loop, which would only log it.

    It is kept while answers to what is under way are read, and raised again where the caller stands.
    """

    error: Exception | None = None

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, Exception):
            self.error = self.error or error
            return True
        return False
