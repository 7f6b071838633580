"""Whether this installation may serve: nobody who was forgotten may come back by a backup, nothing be lost unnoticed.

Asked by web, workers and beat before they do anything. The answer is read from what lies outside the database: the
erasure log, the file of the ledger's checkpoints, and the keys of the settings.
"""

from service.domain.tokens import Keys
from service.errors import ConfigurationError
from service.store import address_keys, standing
from service.store.append_only import AppendOnlyFile
from service.store.transaction import Transaction
from service.usecases.steps import erasure_log
from service.usecases.steps.erasure_log import Standing


def check_may_serve(
    tx: Transaction, keys: Keys, *, erasure_file: AppendOnlyFile, checkpoint_file: AppendOnlyFile
) -> None:
    """Raises ConfigurationError with everything that stands in the way and what to do about it. A fresh
    installation has neither file, and may serve."""
    troubles = list_obstacles(tx, keys, erasure_file=erasure_file, checkpoint_file=checkpoint_file)
    if troubles:
        raise ConfigurationError("\n".join((*troubles, "Nothing was started (docs/privacy.md).")))


def list_obstacles(
    tx: Transaction, keys: Keys, *, erasure_file: AppendOnlyFile, checkpoint_file: AppendOnlyFile
) -> list[str]:
    """Why nothing may be served, as sentences; empty if it may."""
    found = []
    checkpoints = standing.compare(tx, checkpoint_file)
    if checkpoints in standing.WHAT_TO_DO:
        found.append(standing.WHAT_TO_DO[checkpoints])
    compared = erasure_log.compare(tx, keys.ledger, erasure_file)
    if compared.standing not in (Standing.AGREE, Standing.CUT_SHORT):
        where = f" (line {compared.broken_line})" if compared.broken_line else ""
        found.append(
            f"{erasure_log.WHAT_TO_DO[compared.standing]} The log {erasure_file.path.name} has {compared.lines} "
            f"lines{where}, the database {compared.erasures} erasures."
        )
    stored = address_keys.get_version(tx)
    if stored > keys.address_version:
        found.append(address_keys.missing_keys(stored, keys.address_version))
    elif stored < keys.address_version:
        found.append(
            f"MILEPOST_ADDRESS_KEYS names keys that the stored fingerprints have not gone through yet ({stored} of "
            f"{keys.address_version}). Run `milepost privacy rotate-address-key`."
        )
    return found
