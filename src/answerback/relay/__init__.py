"""HTTP out: what is owed to the business is delivered, in order for each call, until the business has it."""

from answerback.relay.certificates import CertificateFiles, Certificates
from answerback.relay.deciding import Terms
from answerback.relay.registry import Wanted
from answerback.relay.relay import Relay
from answerback.relay.sharing import Share

__all__ = ["CertificateFiles", "Certificates", "Relay", "Share", "Terms", "Wanted"]
