"""Settings: `env` reads the environment, `base` says what holds everywhere, the others what differs."""
