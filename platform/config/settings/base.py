"""What holds in every environment. Values from outside come through `env` alone."""

from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from apps.jobs.conf import Config
from config.settings import artifacts, env
from core.devserver import addresses
from core.mail import relay
from core.observability import logging

ENV = env.read()
ROOT = env.ROOT
EMBEDDED = addresses.read(ENV.DATA_DIR)
# libpq: a host that has vanished is noticed within a minute, whether we wait for its answer or it for our question.
NOTICE_SILENCE = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 30_000}


def _address(name: str, embedded: str) -> str:
    return getattr(ENV, name) or (getattr(EMBEDDED, embedded) if EMBEDDED else "")


DATABASE_URL = _address("DATABASE_URL", "database_url")
BROKER_URL = _address("BROKER_URL", "broker_url")
CACHE_URL = _address("CACHE_URL", "cache_url")
LOCKS_URL = _address("LOCKS_URL", "locks_url")   # none: the locks stand in the database of the jobs


def database(url: str) -> dict[str, Any]:
    """Return Django's form of a PostgreSQL address; its query becomes libpq options."""
    parts = urlsplit(url)
    options: dict[str, Any] = dict(parse_qsl(parts.query))
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")) or "postgres",
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": unquote(parts.hostname or options.pop("host", "")),
        "PORT": str(parts.port or ""),
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        # A child's first connection outlasts a stall as an open one does: its job would be charged for it.
        # A threshold allows prepared statements; Django's own never are, so it holds for those that ask for it alone.
        "OPTIONS": {
            "connect_timeout": 15, "application_name": "latchwork", "prepare_threshold": 5, **NOTICE_SILENCE, **options,
        },
        "TEST": {"NAME": None},
    }


# Django
DEBUG = False
SECRET_KEY = ENV.SECRET_KEY
SEAL_KEYS = ENV.words("SEAL_KEYS")                    # the first seals, all open
ALLOWED_HOSTS = ENV.words("ALLOWED_HOSTS")
INSTALLED_APPS = [
    "django.contrib.admin.apps.SimpleAdminConfig",   # urls.py looks for the admins: a worker needs none
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django_celery_beat",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "core",
    "apps.jobs",
]
MIDDLEWARE = [
    "core.observability.request_id.RequestIdMiddleware",   # first: all that follows can be told apart in the logs
    "core.headers.HeadMiddleware",
    "core.headers.SecurityHeadersMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "config.read_only.ReadOnlyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "core.audit.middleware.ActorMiddleware",
]
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
APPEND_SLASH = False
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [ROOT / "platform" / "config" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
DATABASES = {"default": database(DATABASE_URL)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": CACHE_URL}}
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
LOGIN_URL = "/admin/login/"
LOGIN_REDIRECT_URL = "admin:index"   # after a `next` that leads elsewhere: whom the form lets in may see it
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
FORMAT_MODULE_PATH = ["config.formats"]
STATIC_URL = "/static/"
STATICFILES_DIRS = [ROOT / "platform" / "config" / "static"]
WHITENOISE_ALLOW_ALL_ORIGINS = False
WHITENOISE_USE_FINDERS = True   # served from where they stand: nothing to collect

STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    "artifacts": artifacts.storage(ENV.ARTIFACTS_URL, data_dir=ENV.DATA_DIR),
}

CSRF_FAILURE_VIEW = "config.pages.forbidden"
LOGGING = logging.configure(level=ENV.LOG_LEVEL, form=ENV.LOG_FORMAT)

# HTTP
RATE_LIMIT = ENV.RATE_LIMIT
LOGIN_RATE_LIMIT = ENV.LOGIN_RATE_LIMIT
LOGIN_RATE_LIMIT_ACCOUNT = ENV.LOGIN_RATE_LIMIT_ACCOUNT
READ_ONLY = ENV.READ_ONLY
AUDIT_ENQUEUE = ENV.AUDIT_ENQUEUE
TRUSTED_PROXIES = ENV.words("TRUSTED_PROXIES")
METRICS_TOKEN = ENV.METRICS_TOKEN
FLOWER_URL = ENV.FLOWER_URL
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "core.api.authentication.BearerAuthentication",
        "core.api.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["core.api.permissions.Closed"],
    "DEFAULT_THROTTLE_CLASSES": ["core.api.throttling.WriteThrottle"],
    "DEFAULT_PARSER_CLASSES": ["core.api.parsers.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "core.api.schema.Schema",
    "DEFAULT_METADATA_CLASS": None,
    "EXCEPTION_HANDLER": "core.api.problems.handle",
    "UNAUTHENTICATED_USER": None,
    "URL_FORMAT_OVERRIDE": None,                     # ?format= is an unknown parameter like any other
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Latchwork",
    "DESCRIPTION": (
        "Durable, fenced jobs. Authenticate with `Authorization: Bearer <token>`. Every refusal is an RFC 9457 problem; "
        "unknown members (422) and query parameters (400) are refused; lists go on at `next`."
    ),
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "POSTPROCESSING_HOOKS": ["core.api.schema.with_problems"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "displayRequestDuration": True, "validatorUrl": None},
}

# Celery: the broker is a doorbell, the row is the truth
CELERY_BROKER_URL = BROKER_URL
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None          # a worker without a broker works on: its rows are in PostgreSQL
CELERY_BROKER_CONNECTION_TIMEOUT = 3
CELERY_BROKER_POOL_LIMIT = 100                       # Flower's up to 33 threads hold one each while they wait for a second
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 60,                        # tickets are acknowledged on receipt: short is right
    "unacked_restore_throttle": 1,
    "socket_timeout": 10,
    "socket_connect_timeout": 3,
    "socket_keepalive": True,
    "health_check_interval": 10,
}
CELERY_TASK_SERIALIZER = "json"
CELERY_RESULT_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_DEFAULT_QUEUE = "default"                # the default direct exchange; a named one can lose its bindings
CELERY_TASK_DEFAULT_PRIORITY = 5                     # list 0 of each queue belongs to the tickets alone
CELERY_TASK_IGNORE_RESULT = True                     # results are rows
CELERY_TASK_ACKS_LATE = False                        # from the claim on, the lease protects the job
CELERY_TASK_PUBLISH_RETRY = False                    # a ring that is not heard costs latency, a retry costs the caller
CELERY_TASK_SEND_SENT_EVENT = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 64               # tickets are acknowledged on receipt: this bounds ordinary tasks
CELERY_WORKER_HIJACK_ROOT_LOGGER = False             # one event a line, in our form
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_WORKER_ENABLE_REMOTE_CONTROL = True
CELERY_DB_REUSE_MAX = 1_000_000                      # else Celery closes the child's connection around each task
CELERY_BEAT_SCHEDULER = "apps.jobs.scheduling.scheduler:JobScheduler"
CELERY_TIMEZONE = "UTC"

# Jobs
JOB_MODULES = ENV.words("JOB_MODULES")
JOBS = Config(
    lease_seconds=ENV.JOBS_LEASE_SECONDS,
    tickets=ENV.JOBS_TICKETS,
    guard=ENV.JOBS_GUARD or ("worker" if LOCKS_URL.startswith("cassandra") else "none"),
    stop_grace_seconds=ENV.JOBS_STOP_GRACE_SECONDS,
    retention=timedelta(days=ENV.JOBS_RETENTION_DAYS),
    shelf_dir=ENV.JOBS_SHELF_DIR,
    metrics_port=ENV.JOBS_METRICS_PORT,
    artifact_max_bytes=ENV.ARTIFACT_MAX_BYTES,
    artifacts_per_job=ENV.ARTIFACTS_PER_JOB,
    artifact_keep=timedelta(days=ENV.ARTIFACT_KEEP_DAYS),
    report_max_bytes=ENV.REPORT_MAX_BYTES,
)

# Pictures
IMAGE_MAX_PIXELS = ENV.IMAGE_MAX_PIXELS

# Outgoing HTTP
OUTGOING_ALLOW_PRIVATE = bool(ENV.OUTGOING_ALLOW_PRIVATE)   # requests from payloads may reach inner addresses

# Outgoing mail
RELAY = relay.parse(ENV.EMAIL_URL)
EMAIL_BACKEND = "core.mail.backend.SmtpBackend"
EMAIL_HOST, EMAIL_PORT = RELAY.host, RELAY.port     # an empty host: there is no server to send through
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = RELAY.user, RELAY.password
EMAIL_USE_TLS, EMAIL_USE_SSL = RELAY.tls == "starttls", RELAY.tls == "implicit"
EMAIL_TIMEOUT = RELAY.answer_seconds                # of each answer
EMAIL_CONNECT_TIMEOUT = RELAY.connect_seconds
EMAIL_MAX_BYTES = ENV.EMAIL_MAX_BYTES
DEFAULT_FROM_EMAIL = SERVER_EMAIL = ENV.EMAIL_FROM
MAILS_DIR: Path | None = None                       # where a local mail server keeps what it takes; /mails shows it
