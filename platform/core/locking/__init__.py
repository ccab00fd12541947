"""The platform's way to its named locks: which store, and what of it this process shares."""
