"""What a `report.generate` is told."""

import json
import re
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import pydantic
from pydantic import (
    AwareDatetime,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    JsonValue,
    ValidationInfo,
    field_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from apps.jobs.errors import refused
from apps.jobs.types.report import registry
from apps.jobs.types.report.registry import Asked

EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)", re.ASCII | re.IGNORECASE)


@cache
def _zones() -> frozenset[str]:
    """Return the names of the IANA database. The machine's own list has more: `localtime`, zones that count leap seconds."""
    return frozenset(files("tzdata").joinpath("zones").read_text(encoding="utf-8").split())


def _moment(value: object) -> datetime:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise refused("needs its offset: a time without one is another moment in every place")
    elif not isinstance(value, str) or not RFC_3339.fullmatch(value):
        raise refused("must be a moment with its offset, as in 2030-01-31T09:00:00+01:00 or 2030-01-31T08:00:00Z")
    else:
        try:
            value = datetime.fromisoformat(value.upper())
        except ValueError as exc:
            raise refused(f"is no moment of the calendar: {exc}") from exc
    if not EARLIEST.timestamp() <= value.timestamp() <= LATEST.timestamp():
        raise refused(f"must lie between {EARLIEST:%Y-%m-%d} and {LATEST:%Y-%m-%d}")
    return value.astimezone(UTC)


Moment = Annotated[AwareDatetime, BeforeValidator(_moment)]


class ReportRequest(pydantic.BaseModel):
    """One report: which, over which period, in which form."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, populate_by_name=True)

    report: str = Field(description="the name of a registered report")
    since: Moment = Field(alias="from", description="RFC 3339 with an offset; the first moment that counts")
    until: Moment = Field(alias="to", description="RFC 3339 with an offset; the first moment that counts no more")
    format: Literal["csv", "xlsx", "pdf"]
    timezone: str = Field("UTC", description="how times are shown and days are cut: a name such as Europe/Berlin")
    filters: dict[str, JsonValue] = Field(default={}, description="what the report's own filters take")

    @field_validator("report")
    @classmethod
    def _is_known(cls, name: str) -> str:
        if registry.find(name) is None:
            raise refused(f"{name[:100]!r} is not a report; known are {', '.join(registry.names())}")
        return name

    @field_validator("until")
    @classmethod
    def _is_a_period(cls, until: datetime, info: ValidationInfo) -> datetime:
        since = info.data.get("since")
        if since is None:
            return until
        if until <= since:
            raise refused(f"must lie after from, which is {since.isoformat()}")
        kind = registry.find(info.data.get("report", ""))
        if kind is not None and until - since > kind.most:
            raise refused(f"must lie within {kind.most.total_seconds() / 86400:g} days after from, which is {since.isoformat()}")
        return until

    @field_validator("timezone")
    @classmethod
    def _is_a_zone(cls, name: str) -> str:
        if name in _zones():   # never looked up by its name: that is a path, and a machine has files beside the zones
            with suppress(LookupError, ValueError, OSError):
                ZoneInfo(name)
                return name
        raise refused("is not a time zone of the IANA database: give a name such as Europe/Berlin or UTC")

    @field_validator("filters")
    @classmethod
    def _fit_the_report(cls, filters: dict[str, JsonValue], info: ValidationInfo) -> dict[str, JsonValue]:
        kind = registry.find(info.data.get("report", ""))
        if kind is not None:
            kind.filters.model_validate_json(json.dumps(filters))   # its own errors get this field's place in front
        return filters

    @property
    def kind(self) -> registry.Report:
        """Return the report that is asked for."""
        found = registry.find(self.report)
        assert found is not None, "checked by the field's validator"  # noqa: S101  for the type checker
        return found

    @property
    def asked(self) -> Asked:
        """Return what the report's function is given."""
        return Asked(
            since=self.since, until=self.until, zone=ZoneInfo(self.timezone),
            filters=self.kind.filters.model_validate_json(json.dumps(self.filters)),
        )

    @property
    def file_name(self) -> str:
        return f"{self.report}-{self.since:%Y%m%dT%H%MZ}-{self.until:%Y%m%dT%H%MZ}.{self.format}"

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Describe the reports of this process: which there are, and what each filters by."""
        described: dict[str, Any] = handler(schema)
        properties = handler.resolve_ref_schema(described)["properties"]
        properties["report"]["enum"] = registry.names()
        properties["filters"]["anyOf"] = [
            {"title": each.name, "allOf": [handler(each.filters.__pydantic_core_schema__)]} for each in registry.all_reports()
        ]
        return described
