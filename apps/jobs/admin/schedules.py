"""Schedules are django-celery-beat's pages, under Django's own permissions, with one door closed."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django_celery_beat.admin import PeriodicTaskAdmin
from django_celery_beat.models import PeriodicTask

admin.site.unregister(PeriodicTask)


@admin.register(PeriodicTask)
class ScheduleAdmin(PeriodicTaskAdmin):  # type: ignore[misc]  # the library has no types
    """The library lets whoever may look enable, disable and run: here it takes the permission to change.

    Its page of one schedule holds a script, which the Content-Security-Policy stops: ours has it as a file.
    """

    change_form_template = "jobs/admin/schedule.html"

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions: dict[str, Any] = super().get_actions(request)
        return actions if self.has_change_permission(request) else {}
