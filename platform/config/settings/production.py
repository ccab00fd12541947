"""A server that faces people: refuses to start until what must be secret is set and what must be closed is closed."""

from config.settings import base
from config.settings.base import *  # noqa: F403  an environment is the base with a few names changed below
from core.errors import Misconfigured

_missing = [
    f"{name} is not set: {fix}"
    for name, fix in {
        "SECRET_KEY": "give 50 random characters or more, best through SECRET_KEY_FILE",
        "ALLOWED_HOSTS": "name the hosts that this server answers to, separated by commas",
        "DATABASE_URL": "give postgresql://user:password@host/database",
        "BROKER_URL": "give redis://host:6379/0, sentinel:// or amqp://",
        "CACHE_URL": "give redis://host:6379/1",
    }.items()
    if not getattr(base.ENV, name)
]
if base.ENV.SECRET_KEY and len(base.ENV.SECRET_KEY) < 50:
    _missing.append("SECRET_KEY is too short: give 50 random characters or more")
if base.ENV.EMAIL_URL and "EMAIL_FROM" not in base.ENV.model_fields_set:
    _missing.append("EMAIL_FROM is not set: name the address that mails come from, as in Shop <shop@example.com>")
if base.ENV.DEBUG:
    _missing.append("DEBUG is on: unset it")
if _missing:
    raise Misconfigured(_missing)

STATIC_ROOT = base.ENV.DATA_DIR / "static"
SECURE_SSL_REDIRECT = True
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_HSTS_SECONDS = 31_536_000
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]   # asked by machines inside, over plain HTTP
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
