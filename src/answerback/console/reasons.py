"""Why a call failed, in the reader's language; pure."""

from answerback.tencent.codes import FAILURE_REASONS


def reason_words(code: int | None, told: str | None, language: str) -> str:
    """The words for a failure code; of one that the vendor does not list, those that came with it."""
    if code is None:
        return ""
    listed = FAILURE_REASONS.get(code)
    if listed is None:
        return told or ""
    return listed.zh if language == "zh" else listed.en[:1].upper() + listed.en[1:]
