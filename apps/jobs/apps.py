"""Django's entry: loads the registered types, so that every process of a checkout knows the same."""

from importlib import import_module

from django.apps import AppConfig
from django.conf import settings
from django.utils.module_loading import autodiscover_modules

from core.errors import Misconfigured
from core.locking import waiting


class JobsConfig(AppConfig):
    name = "apps.jobs"
    label = "jobs"
    verbose_name = "Jobs"

    def ready(self) -> None:
        import_module("apps.jobs.types")
        waiting.register("jobs", import_module("apps.jobs.selectors").waiters)
        checks = import_module("apps.jobs.checks")
        autodiscover_modules("jobs")   # an installed app's own jobs.py
        for module in settings.JOB_MODULES:
            try:
                import_module(module)
            except ModuleNotFoundError as exc:
                if exc.name and (module == exc.name or module.startswith(f"{exc.name}.")):
                    problem = f"JOB_MODULES names {module!r}, which cannot be imported"
                    fix = "check the spelling, and that its folder is the working directory or on PYTHONPATH"
                    raise Misconfigured([f"{problem}: {fix}"]) from exc
                raise
        # A web server runs no checks and a worker ignores what they say; this one must stop both.
        if missing := [f"{found.msg}: {found.hint}" for found in checks.types_without_key()]:
            raise Misconfigured(missing)
