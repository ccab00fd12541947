"""A worker that hears what ended in a hand-over only when all of it has (`JOB_MODULES=tests.support.scripted,tests.support.deaf`)."""

from apps.jobs.engine.bookkeeper import Bookkeeper

Bookkeeper._listen = lambda _book: None  # type: ignore[method-assign]
