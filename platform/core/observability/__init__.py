"""How one sees what the platform does: logs, request ids, health and metrics."""
