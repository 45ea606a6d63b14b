"""Why a call failed, in the reader's language; pure."""

from answerback.domain.failure_reasons import FAILURE_REASONS


def failure_reason_text(code: int | None, reported: str | None, language: str) -> str:
    """The words for a failure code; of one that the vendor does not list, those that came with it."""
    if code is None:
        return ""
    listed = FAILURE_REASONS.get(code)
    if listed is None:
        return reported or ""
    return listed.zh if language == "zh" else listed.en[:1].upper() + listed.en[1:]
