"""How pages write moments: to the second, in the order in which they sort, all of them in UTC."""

DATETIME_FORMAT = "Y-m-d H:i:s"
DATE_FORMAT = "Y-m-d"
