from tests.support.caller import admin, operator, viewer

__all__ = ["admin", "operator", "viewer"]
