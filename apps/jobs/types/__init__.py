"""The job types that ship."""
