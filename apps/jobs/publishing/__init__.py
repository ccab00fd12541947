"""The doorbell: tells workers that a queue has ready rows. Losing any ring costs latency, never a job."""

from apps.jobs.publishing.publisher import flush, rests, ring

__all__ = ["flush", "rests", "ring"]
