"""What the ledger tells of a callback's trace: the same whichever way a delivery comes out of it."""

from builders import NOON, key_press, received, status, stream_rows, wire
from contract.delivery_helpers import accept, annotate, endpoint, load_one, record_overdue, refuse, tencent, us

from answerback.domain.batches import BatchItem, CallbackBatch
from answerback.domain.calls import call_fingerprint, callback_fingerprint
from answerback.ledger import DeliveryJob, Disposition, Ledger
from answerback.ledger.commands import RecordLog


def reported_by(job: DeliveryJob) -> tuple[bytes, int | None, int]:
    """What a job tells of its trace."""
    return job.fingerprint, job.received_us, job.attempts


def test_a_job_names_its_callback_pushed_or_loaded(ledger: Ledger) -> None:
    """Identity and time are those of the callback at first, after a retry, and when a former one let it go out."""
    tos = [endpoint(ledger), tencent(ledger)]
    first, second = received(status(), after_s=1), received(key_press(), after_s=2)
    pushed = ledger.record_batch([first, second]).jobs
    for to, job in zip(tos, pushed, strict=True):
        assert reported_by(job) == reported_by(load_one(ledger, to)) == (first.fingerprint, us(1), 0)
        refuse(ledger, job)
        again = load_one(ledger, to)
        assert reported_by(again) == (first.fingerprint, us(1), 1)
        (freed,) = accept(ledger, again)
        assert reported_by(freed) == (second.fingerprint, us(2), 0)


def test_a_job_without_a_callback_names_its_call(ledger: Ledger) -> None:
    """Where there is no callback, channel and callid identify the call."""
    to = endpoint(ledger)
    annotate(ledger, "c1", due_at=NOON)
    (pushed,) = record_overdue(ledger, at_s=5).jobs
    assert (pushed.fingerprint, pushed.received_us) == (call_fingerprint("default", "c1"), None)
    assert load_one(ledger, to) == pushed
    assert call_fingerprint("default", "c1") != call_fingerprint("other", "c1")


def test_a_transaction_trace_names_each_callback(ledger: Ledger) -> None:
    """The trace has the fingerprint of each, when it came in and what became of it; of what is no callback nothing."""

    def batch(number: int) -> CallbackBatch:
        raws = [wire(status()), b"{", wire(status())]
        return CallbackBatch(bytes([number]) * 16, us(0), [BatchItem("default", raw, us(0)) for raw in raws])

    noted = RecordLog(b"", 0, stream_rows([batch(1)]), trace=True).run(ledger)
    assert noted.trace is not None
    fingerprint = callback_fingerprint("default", status())
    assert noted.trace.callbacks == [
        (fingerprint, us(0), Disposition.STORED),
        (fingerprint, us(0), Disposition.DUPLICATE),
    ]
    assert 0 < noted.trace.started_us <= noted.trace.ended_us
    assert RecordLog(b"", 0, stream_rows([batch(2)])).run(ledger).trace is None


def test_a_transaction_trace_names_new_batches_only(ledger: Ledger) -> None:
    """A batch of the stream that the ledger holds already is not recorded, and not in the trace."""
    batches = [
        CallbackBatch(bytes([n]) * 16, us(9), [BatchItem("default", wire(status(callid=f"c{n}")), us(n))])
        for n in (1, 2)
    ]
    RecordLog(b"", 0, stream_rows(batches[:1])).run(ledger)
    collected = RecordLog(b"", 0, stream_rows(batches), trace=True).run(ledger)
    assert collected.trace is not None
    assert collected.trace.callbacks == [
        (callback_fingerprint("default", status(callid="c2")), us(2), Disposition.STORED)
    ]
