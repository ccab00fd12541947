from tests.support.http_server import internet, other_server, server

__all__ = ["internet", "other_server", "server"]
