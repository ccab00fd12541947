"""The three roles, each of which may do all that the one before it may."""

from django.db import models


class Role(models.TextChoices):
    VIEWER = "viewer"        # reads
    OPERATOR = "operator"    # also starts, retries, cancels, runs and pauses
    ADMIN = "admin"          # also discards, prunes and manages tokens

    def covers(self, needed: "Role") -> bool:
        """Tell whether this role may do what `needed` may."""
        order = list(Role)
        return order.index(self) >= order.index(needed)
