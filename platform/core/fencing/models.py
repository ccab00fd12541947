"""What is stored of resources that have no row of their own to compare tokens in."""

from django.db import models


class ResourceFence(models.Model):
    """The highest token that a resource has seen."""

    resource = models.CharField(primary_key=True, max_length=255)
    fence = models.BigIntegerField()
    raised_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "resource_fence"

    def __str__(self) -> str:
        return f"{self.resource}: {self.fence}"
