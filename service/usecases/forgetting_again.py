"""After a backup was put back: the erasure log is carried out once more, before anything is served (D-15)."""

from service.domain import erasures as log_lines
from service.domain.ledger import LedgerKeys
from service.store import erasures, numbers
from service.store.append_only import AppendOnlyFile
from service.store.claims import keep_for_certain
from service.store.transaction import TransactionFactory
from service.usecases.steps.erasure_log import Standing, carry_out, compare, refusal


def forget_again(transaction: TransactionFactory, ledger: LedgerKeys, file: AppendOnlyFile) -> int:
    """After a backup was put back: erase everybody whom the log names and the backup brought back.

    Returns how many lines had something to do; repeating it changes nothing. Opens its own transactions. Raises
    ServiceError (CONFLICT) when the log is not ours or lacks what the database has.
    """
    with file.locked():
        with transaction() as tx:
            found = compare(tx, ledger, file)
            if found.standing in (Standing.LOG_MISSING, Standing.LOG_BROKEN, Standing.LOG_OLDER):
                raise refusal(found.standing)
            lines = list(log_lines.read_log(ledger, file.lines()))
            ids = [x for line in lines if (x := line.erased.subscriber_id) is not None]
            back = erasures.list_returned(tx, ids)
        due = [line for line in lines if line.erased.number > found.erasures or line.erased.subscriber_id in back]
        if due:
            with transaction() as tx:
                numbers.leap(tx)
        for line in due:
            with transaction() as tx:
                keep_for_certain(tx)
                carry_out(tx, ledger, line)
    return len(due)
