"""What the platform's own reports have in common: by what they filter, and what they call waiting and running."""

from typing import Annotated

from pydantic import Field

from apps.jobs.types.report.registry import Filters

Word = Annotated[str, Field(min_length=1, max_length=200)]


class JobFilters(Filters):
    """Jobs of one type, one queue, with one tag; what is left out does not narrow."""

    type: Word | None = None
    queue: Word | None = None
    tag: Word | None = None

    @property
    def params(self) -> dict[str, object]:
        """Return what the conditions below need."""
        return {"type": self.type, "queue": self.queue, "tag": self.tag}


# A parameter that is None folds away before planning, so that indexes are found as if each query were written by hand.
NARROWED = """
  (%(type)s::text IS NULL OR j.type = %(type)s::text) AND (%(queue)s::text IS NULL OR j.queue = %(queue)s::text)
  AND (%(tag)s::text IS NULL OR (j.tags @> ARRAY[%(tag)s::text] AND j.tags <> '{}'))"""

# Each is null where the job's row does not say it. A job that waits for its next attempt still has the start of the last
# one beside the new due time; a cancelled one may have ended while it waited.
WAIT = """
  CASE WHEN j.status IN ('running', 'completed', 'dead_letter') THEN extract(epoch FROM j.started_at - j.run_at)::float8 END"""
RUN = """
  CASE WHEN j.status IN ('completed', 'dead_letter') THEN extract(epoch FROM j.finished_at - j.started_at)::float8 END"""
