"""What the sections of the configuration share."""

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, PlainValidator, WithJsonSchema
from pydantic.config import JsonDict

Count = Annotated[int, Field(ge=1)]
Network = Annotated[
    IPv4Network | IPv6Network,
    PlainValidator(lambda network: ip_network(str(network))),
    PlainSerializer(str),
    WithJsonSchema({"type": "string"}),
]
Days = Annotated[float, Field(gt=0, le=36_500, allow_inf_nan=False)]
Seconds = Annotated[float, Field(gt=0, le=31_536_000, allow_inf_nan=False)]

RELOADABLE: JsonDict = {"reloadable": True}
"""The `json_schema_extra` of a setting, or of a whole section, that a running gateway takes over at SIGHUP; any other needs a restart."""


class Section(BaseModel):
    """A section is frozen, refuses unknown names, and never shows a value in an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True, hide_input_in_errors=True)
