"""`image.process`: pictures made smaller, cut, converted, and freed of what they tell about their makers."""

from datetime import timedelta

from django.conf import settings

from apps.jobs.errors import InvalidArtifact
from apps.jobs.outcomes import JSON, Discard, Outcome
from apps.jobs.registry import Context, job_type
from apps.jobs.types.image import fetching, formats
from apps.jobs.types.image.errors import InvalidImage
from apps.jobs.types.image.payload import ImageProcess


@job_type(
    "image.process",
    payload=ImageProcess,
    queue="default",
    max_attempts=5,
    timeout=timedelta(minutes=5),
    batch=1,   # a large picture takes hundreds of megabytes: nobody's short job shall stand behind it
)
def process(job: Context, payload: ImageProcess) -> Outcome | JSON:
    """Turn a picture upright, do the operations in their order, and store the results as artifacts without metadata.

    What is wrong with the picture or with the payload ends the job at once, with field and reason; only a source that
    cannot be reached is tried again.
    """
    try:
        return _processed(job, payload)
    except InvalidImage as exc:
        return Discard(reason=str(exc), error=type(exc).__name__)
    except InvalidArtifact as exc:
        reason = f"/payload/operations: what they make cannot be stored: {exc.problems[0].detail}"
        return Discard(reason=reason, error=type(exc).__name__)


def _processed(job: Context, payload: ImageProcess) -> Outcome | JSON:
    from apps.jobs.types.image import pipeline  # noqa: PLC0415  Pillow is for the workers that meet a picture, not for all

    data = fetching.fetch(payload.source)
    if not isinstance(data, bytes):
        return data
    size = len(data)
    source = formats.read(data, most_pixels=settings.IMAGE_MAX_PIXELS)
    del data   # the cleaned copy is what is worked on
    stored = []
    for made in pipeline.run(source, payload, most_pixels=settings.IMAGE_MAX_PIXELS, check=job.check):
        artifact = job.save_artifact(made.name, made.content)
        stored.append({
            "id": str(artifact), "name": made.name, "content_type": made.content_type, "size": len(made.content),
            "width": made.width, "height": made.height,
        })
        job.progress(len(stored), note=made.name)
    width, height = source.upright
    job.logger.info("image.processed", format=source.format, width=width, height=height, pictures=len(stored))
    return {
        "source": {
            "format": source.format, "size": size, "width": width, "height": height, "animated": source.animated,
        },
        "artifacts": stored,
    }
