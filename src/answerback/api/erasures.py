"""/v1/erasures: erase one person's number, and the receipt of it."""

from fastapi import status
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from answerback.api.dependencies import CurrentPrincipal, IdPath, ValidText
from answerback.api.routes import NOT_FOUND, Routes
from answerback.domain.models import Role
from answerback.domain.number_finder import NumberFinder
from answerback.erasures.sealing import seal
from answerback.errors import InvalidField
from answerback.ledger import Ledger
from answerback.ledger.client import LedgerClient
from answerback.ledger.commands import RequestErasure
from answerback.ledger.write.erasures import find_erasure
from answerback.schemas.erasures import ErasureView


class ErasureCreate(BaseModel):
    """Whose number is to be erased."""

    model_config = ConfigDict(extra="forbid")

    number: ValidText = Field(
        max_length=32,
        description="in any notation; without a country it is one of China, if it can be",
        examples=["+8613788888888"],
    )


def build_routes(ledger: Ledger, writer: LedgerClient, key: bytes) -> Routes:
    """The routes; a number is written down under `key` until it is erased."""
    routes = Routes("erasures", prefix="/v1/erasures", role=Role.ADMIN)

    @routes.post("", status_code=status.HTTP_202_ACCEPTED, summary="Erase a person's number from everything stored")
    async def create_erasure(wanted: ErasureCreate, principal: CurrentPrincipal) -> ErasureView:
        number = await run_in_threadpool(_normalise, wanted.number)  # its tables take a while to load
        made = await writer.execute(RequestErasure(principal.actor, seal(key, number)))
        return ErasureView.read_from(made)

    @routes.get("/{id}", summary="Get the receipt of an erasure", responses=NOT_FOUND)
    def get_erasure(id: IdPath) -> ErasureView:
        return ErasureView.read_from(ledger.read(find_erasure, id))

    return routes


def _normalise(number: str) -> str:
    """The number with its country code. Raises InvalidField where it is none."""
    try:
        return NumberFinder(number).number
    except ValueError as error:
        raise InvalidField("number", str(error)) from error
