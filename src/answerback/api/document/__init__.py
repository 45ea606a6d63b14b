"""What /openapi.json says beyond what the routes say of themselves: examples, the callback URL, the webhooks."""

from answerback.api.document.document import complete, operation_id
from answerback.api.document.problems import problem
from answerback.api.document.words import DESCRIPTION, TAGS

__all__ = ["DESCRIPTION", "TAGS", "complete", "operation_id", "problem"]
