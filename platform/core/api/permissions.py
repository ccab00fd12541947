"""What each role may do. A view names one of these classes; one that names none is closed to everybody."""

from typing import Any, ClassVar

from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from core.api.authentication import Principal
from core.api.roles import Role


class Closed(BasePermission):
    """The default: whoever writes a view has to say who may use it."""

    def has_permission(self, request: Request, view: Any) -> bool:  # noqa: ARG002  the interface of REST framework
        """Refuse."""
        return False


class Public(BasePermission):
    """Open to everybody, by decision: nothing but documentation."""

    def has_permission(self, request: Request, view: Any) -> bool:  # noqa: ARG002  the interface of REST framework
        """Allow."""
        return True


class _Needs(BasePermission):
    reading: ClassVar[Role]
    writing: ClassVar[Role]

    @classmethod
    def needed(cls, method: str) -> Role:
        """Return the least role that may use this method."""
        return cls.reading if method in SAFE_METHODS else cls.writing

    def has_permission(self, request: Request, view: Any) -> bool:  # noqa: ARG002  the interface of REST framework
        """Tell whether whoever asks has the role; the refusal names it."""
        needed = self.needed(request.method or "")
        self.message = f"this needs the role {needed}"
        who: object = request.user
        return isinstance(who, Principal) and who.role.covers(needed)


class IsViewer(_Needs):
    """Whoever may read."""

    reading = writing = Role.VIEWER


class IsOperator(_Needs):
    """Whoever may start, retry, cancel, run and pause."""

    reading = writing = Role.OPERATOR


class IsAdmin(_Needs):
    """Whoever may also discard, prune and manage tokens."""

    reading = writing = Role.ADMIN


class ViewerReadsOperatorWrites(_Needs):
    """One address that shows things to viewers and lets operators change them."""

    reading, writing = Role.VIEWER, Role.OPERATOR
