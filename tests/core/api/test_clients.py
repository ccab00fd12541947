import pytest

from core.api import clients


def request(rf, remote, forwarded=None):
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    return rf.get("/", headers=headers, REMOTE_ADDR=remote)


@pytest.mark.parametrize(("remote", "forwarded", "bucket"), [
    ("203.0.113.9", None, "203.0.113.9"),
    ("203.0.113.9", "1.2.3.4", "203.0.113.9"),                                  # not a proxy of ours: a lie
    ("10.0.0.1", "198.51.100.7", "198.51.100.7"),
    ("10.0.0.1", "1.2.3.4, 198.51.100.7", "198.51.100.7"),                      # the client wrote the first itself
    ("10.0.0.1", "1.2.3.4, 198.51.100.7, 10.0.0.2", "198.51.100.7"),
    ("10.0.0.1", "198.51.100.20:1000", "198.51.100.20"),
    ("10.0.0.1", "198.51.100.20:65535, 10.0.0.2:443", "198.51.100.20"),
    ("10.0.0.1", "1.2.3.4:1, 198.51.100.7", "198.51.100.7"),                    # the client wrote the first itself
    ("10.0.0.1", "1.2.3.4, 198.51.100.7:1", "198.51.100.7"),
    ("10.0.0.1", "[2001:db8:1:2::5]:1000", "2001:db8:1:2::/64"),
    ("10.0.0.1", "[2001:db8:1:2::5]", "2001:db8:1:2::/64"),
    ("10.0.0.1", "2001:db8:1:2::5:1000", "2001:db8:1:2::/64"),                  # an address to its end
    ("10.0.0.1", "[::ffff:198.51.100.7]:1000", "198.51.100.7"),
    ("203.0.113.9", "198.51.100.20:1000", "203.0.113.9"),                       # not a proxy of ours: a lie
    *(("10.0.0.1", f"1.2.3.4, {wrong}", "10.0.0.1") for wrong in (
        "198.51.100.7:", "198.51.100.7:65536", "198.51.100.7:-1", "198.51.100.7:x", "198.51.100.7:1:2", ":1000",
        "198.51.100.7:\N{ARABIC-INDIC DIGIT ONE}", "[198.51.100.7]:1000", "[2001:db8::1", "2001:db8::1]:1", "[]:1", "[2001:db8::1]x",
        "[2001:db8::1]:", "host:1000", "example.com", "nonsense",
    )),
    ("10.0.0.1", None, "10.0.0.1"),
    ("2001:db8:1:2:3:4:5:6", None, "2001:db8:1:2::/64"),
    ("2001:db8:1:2:ffff::1", None, "2001:db8:1:2::/64"),
    ("2001:db8:1:3::1", None, "2001:db8:1:3::/64"),
    ("::ffff:203.0.113.9", None, "203.0.113.9"),
    ("::ffff:10.0.0.1", "198.51.100.7", "198.51.100.7"),
    ("", "1.2.3.4", "local"),
])
def test_a_client_is_counted_by_the_address_that_a_trusted_hop_saw(rf, settings, remote, forwarded, bucket):
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]

    assert clients.bucket(request(rf, remote, forwarded)) == bucket


def test_nobody_is_believed_by_default(rf, settings):
    assert settings.TRUSTED_PROXIES == []
    assert clients.bucket(request(rf, "10.0.0.1", "1.2.3.4")) == "10.0.0.1"
