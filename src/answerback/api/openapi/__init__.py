"""What /openapi.json says beyond what the routes say of themselves: examples, the callback URL, the webhooks."""

from answerback.api.openapi.document import complete, operation_id
from answerback.api.openapi.problems import problem
from answerback.api.openapi.tags import DESCRIPTION, TAGS

__all__ = ["DESCRIPTION", "TAGS", "complete", "operation_id", "problem"]
