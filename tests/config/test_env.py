import pytest

from config.settings import env
from core.errors import Misconfigured


def problems_of(**environ):
    with pytest.raises(Misconfigured) as caught:
        env.read(environ)
    return caught.value.problems


def test_an_empty_environment_is_right():
    assert env.Environment() == env.read({})


def test_what_is_set_is_read():
    environment = env.read({"PORT": "8123", "JOB_MODULES": "shop.tasks, mail.tasks", "DEBUG": "true"})

    assert (8123, ["shop.tasks", "mail.tasks"], True) == (
        environment.PORT,
        environment.words("JOB_MODULES"),
        environment.DEBUG,
    )


@pytest.mark.parametrize(
    ("name", "value", "fix"),
    [
        ("DATABASE_URL", "mysql://root@db/shop", "postgresql://"),
        ("DATABASE_URL", "db.example.com", "postgresql://"),
        ("BROKER_URL", "http://broker", "redis://"),
        ("CACHE_URL", "memcached://cache", "redis://"),
        ("ALLOWED_HOSTS", "a.example b.example", "commas"),
        ("ALLOWED_HOSTS", " , ", "names nothing: unset it"),
        ("JOB_MODULES", "shop.tasks mail.tasks", "commas"),
        ("JOB_MODULES", ",", "names nothing: unset it"),
        ("TRUSTED_PROXIES", ",,", "names nothing: unset it"),
        ("RATE_LIMIT", "sixty a minute", "60/minute"),
        ("RATE_LIMIT", "0/minute", "60/minute"),
        ("PORT", "80a", "integer"),
        ("PORT", "70000", "65535"),
        ("JOBS_LEASE_SECONDS", "0", "greater than or equal to 1"),
        ("JOBS_GUARD", "jobs", "'none', 'worker' or 'job'"),
        ("LOCKS_URL", "redis://here/0", "postgresql://, postgres://, cassandra://"),
        ("DEBUG", "perhaps", "boolean"),
        ("SEAL_KEYS", "short", "must be keys of 32 bytes"),
        ("SEAL_KEYS", f"{'A' * 43},{'A' * 43}", "names a key twice"),
        ("LOG_LEVEL", "LOUD", "'DEBUG', 'INFO', 'WARNING' or 'ERROR'"),
        ("LOG_FORMAT", "xml", "'json' or 'console'"),
    ],
)
def test_a_wrong_value_names_its_variable_and_the_fix(name, value, fix):
    (problem,) = problems_of(**{name: value})

    assert (True, True) == (problem.startswith(name), fix in problem)


@pytest.mark.parametrize("name", env.Environment.model_fields)
def test_what_is_set_to_nothing_is_not_set(name):
    assert env.Environment() == env.read({name: " "})


def test_all_problems_are_told_at_once():
    assert 2 == len(problems_of(PORT="none", RATE_LIMIT="none"))


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("JOBS_LEASE_SECOND", "did you mean JOBS_LEASE_SECONDS?"),
        ("JOB_MODULE", "did you mean JOB_MODULES?"),
        ("JOBS_NONSENSE", "known are JOBS_LEASE_SECONDS"),
    ],
)
def test_a_misspelled_name_is_told(name, hint):
    (problem,) = problems_of(**{name: "1"})

    assert (True, True) == (name in problem, hint in problem)


def test_other_programs_variables_are_none_of_ours():
    assert env.Environment() == env.read({"PATH": "/bin", "PORTS": "1", "DATABASE_URLS": "x", "JOBSERVER": "yes"})


def test_a_secret_is_read_from_a_file(tmp_path):
    file = tmp_path / "key"
    file.write_text("from a file\n", encoding="utf-8")

    assert "from a file" == env.read({"SECRET_KEY_FILE": str(file)}).SECRET_KEY


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    (problem,) = problems_of(SECRET_KEY_FILE=str(tmp_path / "absent"))

    assert (True, True) == (problem.startswith("SECRET_KEY_FILE="), "give a readable file" in problem)


def test_an_empty_file_is_told(tmp_path):
    file = tmp_path / "key"
    file.write_text("\n", encoding="utf-8")

    (problem,) = problems_of(METRICS_TOKEN_FILE=str(file))

    assert f"METRICS_TOKEN_FILE={file} is empty: write the value into it, or unset METRICS_TOKEN_FILE" == problem


def test_a_value_and_its_file_at_once_are_refused(tmp_path):
    file = tmp_path / "key"
    file.write_text("one", encoding="utf-8")

    (problem,) = problems_of(SECRET_KEY="other", SECRET_KEY_FILE=str(file))

    assert "SECRET_KEY and SECRET_KEY_FILE are both set: keep one of them" == problem


@pytest.mark.parametrize("name", ["DATABASE_URL", "BROKER_URL", "CACHE_URL"])
def test_a_message_shows_no_password(name):
    assert "hush-hush" not in "".join(problems_of(**{name: "wrong://user:hush-hush@host/x"}))


def test_a_wrong_seal_key_is_not_shown():
    (problem,) = problems_of(SEAL_KEYS="not-a-key-but-perhaps-a-password")

    assert "password" not in problem
