"""What /openapi.json says beyond what the routes say of themselves: examples, the callback URL, the webhooks."""

from answerback.api.openapi.document import DESCRIPTION, TAGS, complete, operation_id, problem

__all__ = ["DESCRIPTION", "TAGS", "complete", "operation_id", "problem"]
