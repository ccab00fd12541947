"""The addresses of locks, below /api/v1/. Only a web process imports this."""

from django.urls import path, register_converter
from django.urls.converters import StringConverter

from core.locking import api, readiness


class LockName(StringConverter):
    """Whatever may be the name of a lock: nearly anything."""

    regex = r"[^\x00]{1,255}"


register_converter(LockName, "lock")

urlpatterns = [
    path("locks", api.Locks.as_view(), name="locks"),
    path("locks/<lock:name>/release", api.Release.as_view(), name="lock-release"),   # before the one that takes any name
    path("locks/<lock:name>", api.OneLock.as_view(), name="lock"),
]

readiness.register()
