"""Artifacts: files in and out. They are fetched through the API, which says how a browser may treat them."""

from collections.abc import Mapping

from django.contrib import admin
from django.db.models import Q
from django.template.defaultfilters import filesizeformat
from django.urls import reverse

from apps.jobs.admin.attempts import uuid_of
from apps.jobs.models import Artifact
from core.admin.filters import choice
from core.admin.lists import Walking
from core.admin.text import link, page_of
from core.windows import Walk


@admin.register(Artifact)
class ArtifactAdmin(Walking):
    list_display = ("name", "content_type", "how_large", "the_job", "created_at", "expires_at")
    list_filter = (choice("job", "job", list),)
    filters = frozenset({"job"})
    search_fields = ("pk",)   # the box is shown; what it finds, `walk` says
    search_help_text = "The whole id of an artifact or of its job."
    fields = ("name", "id", "content_type", "how_large", "sha256", "the_job", "download", "created_at", "expires_at")

    def walk(self, given: Mapping[str, str], text: str) -> Walk[Artifact]:
        rows = Artifact.objects.all()
        if "job" in given:
            rows = rows.filter(job_id=uuid_of(given["job"]))
        if text:
            wanted = uuid_of(text)
            rows = rows.filter(Q(id=wanted) | Q(job_id=wanted))
        return Walk(sources=[rows], order=self.order)   # ids are in the order of their making

    @admin.display(description="size")
    def how_large(self, artifact: Artifact) -> str:
        return filesizeformat(artifact.size)

    @admin.display(description="job")
    def the_job(self, artifact: Artifact) -> str:
        return page_of("jobs_job", artifact.job_id, f"…{str(artifact.job_id)[-12:]}") if artifact.job_id else "-"

    def download(self, artifact: Artifact) -> str:
        return link(reverse("artifact", args=[artifact.id]), "download")
