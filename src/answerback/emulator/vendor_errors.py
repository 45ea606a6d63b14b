"""The errors of the send APIs: one list, with the codes of both.

Source: "Error Codes" of API 2.0, product 1128, and of API 3.0, service vms, version 2020-09-02, with the common ones,
product 1128/51567.
"""

from enum import Enum
from typing import NamedTuple


class _ErrorCodes(NamedTuple):
    result: int
    code: str
    message: str


class VendorError(Enum):
    """`result` is what API 2.0 answers, `code` what API 3.0 does."""

    SIGNATURE = _ErrorCodes(1001, "InternalError.SigVerificationFail", "the signature does not fit")
    SENSITIVE_WORD = _ErrorCodes(
        1002, "FailedOperation.ContainSensitiveWord", "the text holds a word that may not be said"
    )
    PACKET = _ErrorCodes(1004, "FailedOperation.FailResolvePacket", "a field is missing or invalid")
    INTERFACE = _ErrorCodes(1011, "InternalError.RestApiInterfaceNotExist", "there is no such interface")
    FREQUENCY = _ErrorCodes(1013, "LimitExceeded.DeliveryFrequencyLimit", "this number is called too often")
    TEMPLATE = _ErrorCodes(1014, "FailedOperation.TemplateIncorrectOrUnapproved", "no such template, or not approved")
    APPLICATION = _ErrorCodes(1019, "InvalidParameterValue.SdkAppidNotExist", "there is no such application")
    DISABLED = _ErrorCodes(1020, "UnauthorizedOperation.SdkAppidIsDisabled", "the application is disabled")
    TIME = _ErrorCodes(1021, "InternalError.RequestTimeException", "the time is too far off")
    UNSUPPORTED = _ErrorCodes(1030, "UnsupportedOperation", "this is not supported")
    BALANCE = _ErrorCodes(1031, "FailedOperation.InsufficientBalanceInVoicePackage", "the voice package is used up")
    ARREARS = _ErrorCodes(1033, "UnauthorizedOperation.ServiceSuspendDueToArrears", "the service is suspended: arrears")
    TOO_LONG = _ErrorCodes(1036, "InvalidParameterValue.ContentLengthLimit", "the content is too long")
    JSON = _ErrorCodes(3003, "FailedOperation.InvalidJsonParameters", "the body is not JSON")
    PARAMETERS = _ErrorCodes(3004, "FailedOperation.InvalidParameters", "a parameter is invalid")
    CALLEE = _ErrorCodes(1016, "InvalidParameterValue.CalledNumberVerifyFail", "the number cannot be called")
    SDK_APPLICATION = _ErrorCodes(1019, "UnauthorizedOperation.VoiceSdkAppidVerifyFail", "there is no such application")
    TC3_SIGNATURE = _ErrorCodes(1001, "AuthFailure.SignatureFailure", "the signature does not fit")
    TC3_SECRET_ID = _ErrorCodes(1001, "AuthFailure.SecretIdNotFound", "there is no such SecretId")
    INVALID_AUTHORIZATION = _ErrorCodes(1001, "AuthFailure.InvalidAuthorization", "the Authorization header is invalid")
    SIGNATURE_EXPIRE = _ErrorCodes(1021, "AuthFailure.SignatureExpire", "the signature has expired")
    INVALID_ACTION = _ErrorCodes(1011, "InvalidAction", "there is no such action")
    NO_SUCH_VERSION = _ErrorCodes(1011, "NoSuchVersion", "there is no such version")
    MISSING_PARAMETER = _ErrorCodes(1004, "MissingParameter", "a required parameter is missing")
    UNKNOWN_PARAMETER = _ErrorCodes(1004, "UnknownParameter", "there is no such parameter")
    REQUEST_LIMIT = _ErrorCodes(1013, "RequestLimitExceeded", "too many requests")
    UNSUPPORTED_PROTOCOL = _ErrorCodes(1030, "UnsupportedProtocol", "this method is not served")

    @property
    def result(self) -> int:
        """The number of API 2.0."""
        return self.value.result

    @property
    def code(self) -> str:
        """The code of API 3.0."""
        return self.value.code

    @property
    def message(self) -> str:
        return self.value.message


class SendRejected(Exception):  # the cloud's answer, not an error of the program's
    """The cloud refuses a request; `detail` says what about it, for the developer who made the mistake."""

    def __init__(self, error: VendorError, detail: str = "") -> None:
        self.error = error
        self.message = f"{error.message}: {detail}" if detail else error.message
        super().__init__(self.message)
