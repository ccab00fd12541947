"""A type with sealed fields, for worker processes (`JOB_MODULES=tests.support.sealed`)."""

import pydantic

from apps.jobs import Context, Discard, Fixed, job_type
from apps.jobs.outcomes import Outcome

NAME = "sealed.pay"


class Payment(pydantic.BaseModel):
    """What to do, with a card that nobody shall see."""

    model_config = pydantic.ConfigDict(extra="forbid")
    do: str
    card: str
    token: dict[str, str] = {}


@job_type(NAME, payload=Payment, sensitive=("card", "token"), max_attempts=2, retry=Fixed(seconds=0))
def pay(job: Context, payload: Payment) -> Outcome | dict[str, int]:
    """Say how long the card is, or fail."""
    job.logger.info("sealed.paying", do=payload.do)
    match payload.do:
        case "fail":
            raise ConnectionError("the provider hung up")
        case "discard":
            return Discard("the provider does not want it")
        case _:
            return {"digits": len(payload.card), "token": len(payload.token.get("secret", ""))}
