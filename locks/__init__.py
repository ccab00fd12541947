"""Named locks with fencing tokens that no stale holder can outlive."""
