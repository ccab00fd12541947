"""The tests: the services that the session has started, told through the environment as anywhere else."""

from config.settings import base
from config.settings.base import *  # noqa: F403  an environment is the base with a few names changed below

SECRET_KEY = base.ENV.SECRET_KEY or "only-for-tests-" * 4
SEAL_KEYS = ["only-for-tests-only-for-tests-only-for-test"]
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "testserver"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]   # the tests log in hundreds of times
RATE_LIMIT = "1000000/minute"   # the tests of the limit set their own
MAILS_DIR = base.ENV.DATA_DIR / "mails"
