"""Identifiers made by whoever needs one, before any row exists (RFC 9562)."""

import uuid

import uuid_utils.compat


def uuid7() -> uuid.UUID:
    """Return a new UUIDv7: unique without asking anybody, and in order of time, so that indexes grow at their end."""
    return uuid_utils.compat.uuid7()
