"""HTTP out: what is owed to the business is delivered, in order for each call, until the business has it."""

from answerback.relay.certificates import CertificateFiles, Certificates
from answerback.relay.coordinator import Share
from answerback.relay.endpoint_manager import Wanted
from answerback.relay.relay import Relay
from answerback.relay.retry_policy import Terms

__all__ = ["CertificateFiles", "Certificates", "Relay", "Share", "Terms", "Wanted"]
