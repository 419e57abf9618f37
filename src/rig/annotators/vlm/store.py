"""Answers by the hash of what was asked, with who paid for them: one SQLite file, for any number of processes.

An answer and its price are written in one transaction, so what is kept and what was paid cannot differ, whenever a
process is killed. A call that is being made is written down first; where whoever made it died, it is found again, and
told as one that may have been charged.

The file must lie on a disk of this machine: it is in SQLite's WAL mode, which no network file system carries.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock as ThreadLock
from typing import Any

from rig.annotators.costs import Costs
from rig.annotators.vlm.asked import Mode, Reply
from rig.errors import RigError
from rig.storage import Lock
from rig.validation import parse_json, validated

FILE = "answers.sqlite"
_CLAIMS = "claims"
_VERSION = 1
_BUSY_SECONDS = 60.0
_TABLES = """
CREATE TABLE IF NOT EXISTS answers (
    key TEXT PRIMARY KEY, account TEXT NOT NULL, role TEXT NOT NULL, model TEXT NOT NULL, prompt TEXT NOT NULL,
    reply TEXT NOT NULL, tokens_in INTEGER NOT NULL, tokens_out INTEGER NOT NULL, estimated INTEGER NOT NULL,
    usd REAL, made TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS answers_of_models ON answers (model, prompt);
CREATE TABLE IF NOT EXISTS uses (
    account TEXT NOT NULL, role TEXT NOT NULL, key TEXT NOT NULL, PRIMARY KEY (account, role, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS open_calls (
    key TEXT PRIMARY KEY, account TEXT NOT NULL, role TEXT NOT NULL, tokens INTEGER NOT NULL, usd REAL NOT NULL)
    WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS totals (
    account TEXT NOT NULL, role TEXT NOT NULL, name TEXT NOT NULL, number REAL NOT NULL,
    PRIMARY KEY (account, role, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS modes (
    server TEXT NOT NULL, model TEXT NOT NULL, mode TEXT NOT NULL, PRIMARY KEY (server, model)) WITHOUT ROWID;
"""


@dataclass(frozen=True, kw_only=True)
class Payer:
    """Who is to pay: a dataset, and in what role the model works for it.

    Attributes:
        account: the dataset's own name for its account.
        role: "reasoner" or "reviewer".
    """

    account: str
    role: str


@dataclass(frozen=True, kw_only=True)
class Bill:
    """What an answer is charged with.

    Attributes:
        model: who gave it.
        prompt: the version of the instructions.
        tokens_in: tokens read.
        tokens_out: tokens written.
        estimated: whether the server did not say, and these are our guess.
        usd: what that costs; None where no price is known.
    """

    model: str
    prompt: str
    tokens_in: int
    tokens_out: int
    estimated: bool
    usd: float | None


@dataclass(frozen=True, kw_only=True)
class Budget:
    """The most that an account may cost; None: no bound."""

    usd: float | None = None
    tokens: int | None = None


class Store:
    """The answers in a folder; several threads may use one.

    Args:
        folder: made where it is not there.
        is_for_reading: nothing will be kept: where there is no store yet, none is made.

    Raises:
        RigError: there is no such folder and none can be made, or what is there is no store of ours.
    """

    def __init__(self, folder: Path, *, is_for_reading: bool = False) -> None:
        self.folder = Path(folder)
        self.path = self.folder / FILE
        self._lock = ThreadLock()
        if is_for_reading and not self.path.exists():
            self._db = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
            self._open()
            return
        with self._named():
            (self.folder / _CLAIMS).mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self.path, timeout=_BUSY_SECONDS, check_same_thread=False, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._open()

    def _open(self) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version > _VERSION:
            raise RigError(f"{self.path} was written by a newer version; upgrade rig-agent, or name another cache")
        self._db.executescript(f"BEGIN IMMEDIATE; {_TABLES} PRAGMA user_version = {_VERSION}; COMMIT;")

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._db.close()

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise RigError(
                f"{self.path} cannot be used as the store of answers ({error}); mend it, or name another folder as "
                "cache"
            ) from error

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        """Yield the database within a transaction: all of it is written, or nothing."""
        with self._lock, self._named():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def _rows(self, query: str, *values: Any) -> list[Any]:
        with self._lock, self._named():
            return self._db.execute(query, values).fetchall()

    def claim(self, key: str) -> Lock:
        """Return the lock under which one process at a time asks for the answer to `key`; it ends with its holder."""
        return Lock(self.folder / _CLAIMS / key[:3], wait=True)

    def get(self, key: str) -> Reply | None:
        """Return the answer to `key`, or None where there is none."""
        rows = self._rows("SELECT reply FROM answers WHERE key = ?", key)
        if not rows:
            return None
        place, fix = f"{self.path}: the answer {key}", "name another folder as cache"
        return validated(parse_json(rows[0][0], place, fix), Reply, place, fix)

    def use(self, payer: Payer, key: str) -> None:
        """Write down that an answer was of use to `payer`, who may not have paid for it."""
        with self._changing() as db:
            db.execute("INSERT OR IGNORE INTO uses VALUES (?, ?, ?)", (payer.account, payer.role, key))

    def reserve(self, key: str, payer: Payer, tokens: int, usd: float, budget: Budget) -> bool:
        """Write down a call that is about to be made, if the budget has room for it; return whether it has.

        Call it under the claim on `key`. Where the call is written down already, who made it died over it: it counts
        as lost, and as charged with what it may have cost.
        """
        with self._changing() as db:
            lost = db.execute("DELETE FROM open_calls WHERE key = ? RETURNING *", (key,)).fetchone()
            if lost is not None:
                owner = Payer(account=lost[1], role=lost[2])
                _add(db, owner, lost=1, lost_tokens=lost[3], lost_usd=lost[4])
            if not _has_room(_spent(db, payer.account), tokens, usd, budget):
                return False
            row = (key, payer.account, payer.role, tokens, usd)
            db.execute("INSERT INTO open_calls VALUES (?, ?, ?, ?, ?)", row)
            return True

    def settle(self, key: str, payer: Payer, reply: Reply, bill: Bill) -> None:
        """Keep an answer and what it cost, and close its call."""
        made = datetime.now(UTC).isoformat(timespec="seconds")
        told = json.dumps(asdict(reply))
        cost = (bill.tokens_in, bill.tokens_out, int(bill.estimated), bill.usd)
        row = (key, payer.account, payer.role, bill.model, bill.prompt, told, *cost, made)
        with self._changing() as db:
            db.execute("DELETE FROM open_calls WHERE key = ?", (key,))
            db.execute("INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
            db.execute("INSERT OR IGNORE INTO uses VALUES (?, ?, ?)", (payer.account, payer.role, key))
            unpriced = int(bill.usd is None)
            totals = {"calls": 1, "tokens_in": bill.tokens_in, "tokens_out": bill.tokens_out}
            _add(db, payer, **totals, usd=bill.usd or 0.0, estimated=int(bill.estimated), unpriced=unpriced)

    def release(self, key: str) -> None:
        """Close a call that came to nothing."""
        with self._changing() as db:
            db.execute("DELETE FROM open_calls WHERE key = ?", (key,))

    def add(self, payer: Payer, **numbers: float) -> None:
        """Add to what is counted of a payer."""
        with self._changing() as db:
            _add(db, payer, **numbers)

    def spent(self, account: str) -> tuple[float, float]:
        """Return the tokens and the dollars that an account was charged with, calls that are being made among them."""
        with self._lock, self._named():
            return _spent(self._db, account)

    def mode(self, server: str, model: str) -> Mode | None:
        """Return the way in which a server's model gave JSON, or None where nobody knows."""
        rows = self._rows("SELECT mode FROM modes WHERE server = ? AND model = ?", server, model)
        return rows[0][0] if rows else None

    def remember_mode(self, server: str, model: str, mode: Mode) -> None:
        """Write down the way in which a server's model gave JSON."""
        with self._changing() as db:
            db.execute("INSERT OR REPLACE INTO modes VALUES (?, ?, ?)", (server, model, mode))

    def usual_tokens(self, model: str, prompt: str) -> tuple[int, float, float]:
        """Return how many answers a model gave, and the mean tokens read and written, where the server said so."""
        query = (
            "SELECT COUNT(*), AVG(tokens_in), AVG(tokens_out) FROM answers "
            "WHERE model = ? AND prompt = ? AND NOT estimated"
        )
        ((count, read, written),) = self._rows(query, model, prompt)
        return count, read or 0.0, written or 0.0

    def costs(self, payer: Payer) -> Costs:
        """Return what `payer` had answered and what that cost, over all runs."""
        query = "SELECT name, number FROM totals WHERE account = ? AND role = ?"
        totals: dict[str, float] = dict(self._rows(query, payer.account, payer.role))
        shared = (
            "SELECT COUNT(*), SUM(a.usd) FROM uses u JOIN answers a ON a.key = u.key WHERE u.account = ? AND "
            "u.role = ? AND (a.account, a.role) != (u.account, u.role)"
        )
        ((cached, saved),) = self._rows(shared, payer.account, payer.role)
        opened = "SELECT COUNT(*), SUM(usd) FROM open_calls WHERE account = ? AND role = ?"
        ((still, at_most),) = self._rows(opened, payer.account, payer.role)
        failed = {name.removeprefix("failed "): int(n) for name, n in totals.items() if name.startswith("failed ")}
        broken = int(totals.get("lost", 0)) + int(totals.get("broken", 0))
        return Costs(
            calls=int(totals.get("calls", 0)),
            tokens_in=int(totals.get("tokens_in", 0)),
            tokens_out=int(totals.get("tokens_out", 0)),
            estimated=int(totals.get("estimated", 0)),
            usd=None if totals.get("unpriced") else totals.get("usd", 0.0),
            cached=cached,
            cached_usd=saved or 0.0,
            failures=dict(sorted(failed.items())),
            given_up=int(totals.get("given_up", 0)),
            maybe_charged=broken + still,
            maybe_charged_usd=totals.get("lost_usd", 0.0) + totals.get("broken_usd", 0.0) + (at_most or 0.0),
        )


def _add(db: sqlite3.Connection, payer: Payer, **numbers: float) -> None:
    query = "INSERT INTO totals VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET number = number + excluded.number"
    db.executemany(query, [(payer.account, payer.role, name, number) for name, number in numbers.items() if number])


def _spent(db: sqlite3.Connection, account: str) -> tuple[float, float]:
    """Return the tokens and the dollars of an account: paid, perhaps paid, and being paid."""
    query = "SELECT COALESCE(SUM(number), 0) FROM totals WHERE account = ? AND name IN "
    tokens = query + "('tokens_in', 'tokens_out', 'lost_tokens', 'broken_tokens')"
    dollars = query + "('usd', 'lost_usd', 'broken_usd')"
    open_calls = "SELECT COALESCE(SUM(tokens), 0), COALESCE(SUM(usd), 0) FROM open_calls WHERE account = ?"
    ((paid,), (paid_usd,)) = (db.execute(one, (account,)).fetchone() for one in (tokens, dollars))
    being, being_usd = db.execute(open_calls, (account,)).fetchone()
    return paid + being, paid_usd + being_usd


def _has_room(spent: tuple[float, float], tokens: int, usd: float, budget: Budget) -> bool:
    spent_tokens, spent_usd = spent
    is_cheap = budget.usd is None or spent_usd + usd <= budget.usd
    return is_cheap and (budget.tokens is None or spent_tokens + tokens <= budget.tokens)
