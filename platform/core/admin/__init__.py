"""Django's admin, as operators of large tables need it: the parts that lists share, and the tables of this package.

- A list is read in an index's order and never counted (`lists`, over `core.windows`).
- A row is looked at. What changes it is an operation (`operations`): a role, a confirmation that says beforehand what
  would be done and what refused, a reason, a service. There are no forms that write rows.
- Who may do what is the role of `core.api.authentication.role_of`, as in the API; being staff opens the door.
- Nothing here writes a script or a style into a page: the Content-Security-Policy allows files of ours alone.
"""

from django.contrib import admin

from core.admin.audit import AuditAdmin
from core.admin.locks import LockAdmin
from core.admin.tokens import TokenAdmin

__all__ = ["AuditAdmin", "LockAdmin", "TokenAdmin"]

admin.site.site_header = "Latchwork"
admin.site.site_title = "Latchwork"
admin.site.index_title = "What there is"
admin.site.enable_nav_sidebar = False   # its width belongs to the lists; the start page leads everywhere
