"""Erasures of a number, and their receipts."""

from datetime import datetime

from pydantic import Field

from answerback.schemas.view import Entries, Items, View


class ErasureView(View):
    """The receipt of an erasure; whose number it was is not in it."""

    id: int
    requested_at: datetime
    state: str = Field(
        description="erasing; compacting: the number is erased and forgotten, the files are written anew; done; "
        "failed: the server secret has changed since, ask again",
        examples=["done"],
    )
    erased: Entries[int] = Field(
        description="rows that held the number, by table; inbox: callbacks in the inbox",
        examples=[{"calls": 2, "callbacks": 3, "deliveries": 3, "inbox": 1}],
    )
    kept_in: Items[str] = Field(
        description="settings that hold the number still, by name: they are yours, change them yourself",
        examples=[["endpoint crm"]],
    )
    tries: int = Field(description="how often it was begun: it is tried again a minute after a failure", examples=[1])
    failure: str | None = Field(description="what keeps it from being done; null: nothing that is known")
    finished_at: datetime | None = Field(description="null: it is not done yet")
