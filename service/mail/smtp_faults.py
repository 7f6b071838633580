"""What the wire's caller may do within the loop: fail."""


class Fault:
    """What the caller's messages or the journal raised within the loop, which would only log it.

    It is kept while answers to what is under way are read, and raised again where the caller stands.
    """

    error: Exception | None = None

    def keep(self, error: Exception) -> None:
        self.error = self.error or error

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, Exception):
            self.keep(error)
            return True
        return False
