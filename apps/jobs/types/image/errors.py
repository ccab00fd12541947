"""What is wrong with a picture, or with what shall be made of it: always final, another attempt finds the same."""

from core.errors import PlatformError


class InvalidImage(PlatformError):
    """Refused; `pointer` is the field of the payload, `reason` completes a sentence about it."""

    def __init__(self, reason: str, *, pointer: str = "/payload/source") -> None:
        self.reason, self.pointer = reason, pointer
        super().__init__(f"{pointer}: {reason}")
