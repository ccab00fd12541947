"""All addresses of the web process."""

from django.contrib import admin
from django.urls import include, path, re_path

from config import login, pages
from config.mails import urls as mails_urls
from core.api import problems
from core.audit.api import Audit
from core.observability import health, metrics

admin.autodiscover()

urlpatterns = [
    path("", pages.start, name="start"),
    path("favicon.ico", pages.favicon, name="favicon"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", metrics.view, name="metrics"),
    *mails_urls(),
    path("admin/login/", login.throttled(admin.site.login)),   # before the admin's own
    path("admin/", admin.site.urls),
    path("api/v1/schema", pages.SchemaView.as_view(), name="schema"),
    path("api/v1/docs", pages.DocsView.as_view(url_name="schema"), name="docs"),
    path("api/v1/audit", Audit.as_view(), name="audit"),
    path("api/v1/", include("core.locking.urls")),
    path("api/v1/", include("apps.jobs.urls")),
    re_path(r"^api(?:/|$)", problems.unknown_route),   # after all others: also with DEBUG a problem, not a page
]
handler400 = "config.pages.bad_request"
handler403 = "config.pages.forbidden"
handler404 = "config.pages.not_found"
handler500 = "config.pages.server_error"
