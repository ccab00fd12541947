"""The HTTP interface of jobs: it reads through selectors, acts through services, and knows no table."""
