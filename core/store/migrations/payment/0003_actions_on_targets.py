"""What an operator does to a target stands in `operator_action` too: a row is about a payment, or about a target."""

from typing import Any

from peewee import BigAutoField, Check, Model, MySQLDatabase, SqliteDatabase

from core.store.fields import KeyField, LongTextField, ShortTextField, UtcDateTimeField

_KEYS = ("platform_id", "payment_code")
_KEY = "(platform_id IS NULL) = (payment_code IS NULL)"
_SUBJECT = "(platform_id IS NULL) <> (notify_url IS NULL)"
_MYSQL_TEXT = "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"


class OperatorAction(Model):
    id = BigAutoField()
    action_id = ShortTextField(max_length=32)
    action = ShortTextField(max_length=32)
    platform_id = KeyField(null=True)
    payment_code = KeyField(null=True)
    operator = ShortTextField(max_length=64)
    reason = ShortTextField(max_length=512)
    detail = LongTextField()
    create_time = UtcDateTimeField()
    notify_url = ShortTextField(max_length=512, null=True)

    class Meta:
        table_name = "operator_action"
        constraints = (Check(_KEY, "operator_action_key"), Check(_SUBJECT, "operator_action_subject"))
        indexes = (
            (("action_id", "platform_id", "payment_code"), True),
            (("platform_id", "payment_code"), False),
        )


def up(migrator: Any, db: Any) -> None:
    """Let a row name a target instead of a payment: where DDL commits by itself, in one statement."""
    if any(column.name == "notify_url" for column in db.get_columns("operator_action")):
        return
    if isinstance(db, SqliteDatabase):
        _rebuild(db)
    elif isinstance(db, MySQLDatabase):
        keys = [f"MODIFY {key} VARCHAR(64) {_MYSQL_TEXT} NULL CHECK ({key} <> '')" for key in _KEYS]
        _alter(db, *keys, f"ADD COLUMN notify_url VARCHAR(512) {_MYSQL_TEXT}")
    else:
        keys = [f"ALTER COLUMN {key} DROP NOT NULL" for key in _KEYS]
        _alter(db, *keys, 'ADD COLUMN notify_url VARCHAR(512) COLLATE "C"')


def _alter(db: Any, *changes: str) -> None:
    checks = [
        f"ADD CONSTRAINT operator_action_key CHECK ({_KEY})",
        f"ADD CONSTRAINT operator_action_subject CHECK ({_SUBJECT})",
    ]
    db.execute_sql(f"ALTER TABLE operator_action {', '.join([*changes, *checks])}")


def _rebuild(db: Any) -> None:
    """SQLite cannot loosen a column: copy the table."""
    for index in db.get_indexes("operator_action"):
        db.execute_sql(f'DROP INDEX "{index.name}"')
    db.execute_sql("ALTER TABLE operator_action RENAME TO operator_action_before")
    with db.bind_ctx([OperatorAction]):
        OperatorAction.create_table(safe=False)
    columns = ", ".join(name for name in OperatorAction._meta.sorted_field_names if name != "notify_url")
    db.execute_sql(f"INSERT INTO operator_action ({columns}) SELECT {columns} FROM operator_action_before")
    db.execute_sql("DROP TABLE operator_action_before")
