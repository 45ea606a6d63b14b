"""Why the cloud refuses a send: one list, with the words of both APIs.

Source: "Error Codes" of API 2.0, product 1128, and of API 3.0, service vms, version 2020-09-02.
"""

from enum import Enum
from typing import NamedTuple


class _Words(NamedTuple):
    result: int
    code: str
    message: str


class Fault(Enum):
    """`result` is what API 2.0 answers, `code` what API 3.0 does."""

    SIGNATURE = _Words(1001, "InternalError.SigVerificationFail", "the signature does not fit")
    SENSITIVE_WORD = _Words(1002, "FailedOperation.ContainSensitiveWord", "the text holds a word that may not be said")
    PACKET = _Words(1004, "FailedOperation.FailResolvePacket", "a field is missing or unfit")
    INTERFACE = _Words(1011, "InternalError.RestApiInterfaceNotExist", "there is no such interface")
    FREQUENCY = _Words(1013, "LimitExceeded.DeliveryFrequencyLimit", "this number is called too often")
    TEMPLATE = _Words(1014, "FailedOperation.TemplateIncorrectOrUnapproved", "no such template, or not approved")
    APPLICATION = _Words(1019, "InvalidParameterValue.SdkAppidNotExist", "there is no such application")
    DISABLED = _Words(1020, "UnauthorizedOperation.SdkAppidIsDisabled", "the application is disabled")
    TIME = _Words(1021, "InternalError.RequestTimeException", "the time is too far off")
    UNSUPPORTED = _Words(1030, "UnsupportedOperation", "this is not supported")
    BALANCE = _Words(1031, "FailedOperation.InsufficientBalanceInVoicePackage", "the voice package is used up")
    ARREARS = _Words(1033, "UnauthorizedOperation.ServiceSuspendDueToArrears", "the service is suspended: arrears")
    TOO_LONG = _Words(1036, "InvalidParameterValue.ContentLengthLimit", "the content is too long")
    JSON = _Words(3003, "FailedOperation.InvalidJsonParameters", "the body is not JSON")
    PARAMETERS = _Words(3004, "FailedOperation.InvalidParameters", "a parameter is unfit")
    NUMBER = _Words(3014, "FailedOperation.PhonenumberUnappliedOrExpired", "there is no number to call from")
    CALLEE = _Words(1016, "InvalidParameterValue.CalledNumberVerifyFail", "the number cannot be called")
    SDK_APPLICATION = _Words(1019, "UnauthorizedOperation.VoiceSdkAppidVerifyFail", "there is no such application")
    TC3_SIGNATURE = _Words(1001, "AuthFailure.SignatureFailure", "the signature does not fit")
    TC3_SECRET_ID = _Words(1001, "AuthFailure.SecretIdNotFound", "there is no such SecretId")

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
        """What it means."""
        return self.value.message


class Refused(Exception):  # the cloud's answer, not an error of the program's
    """The cloud refuses a request; `detail` says what about it, for the developer who made the mistake."""

    def __init__(self, fault: Fault, detail: str = "") -> None:
        self.fault = fault
        self.message = f"{fault.message}: {detail}" if detail else fault.message
        super().__init__(self.message)
