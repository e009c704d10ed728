"""The transactional outbox: notifications to send, written with the payment's result and worked off by claims.

Owns `payment_result` and the `notify_*` tables. Every function takes an open `Transaction` and so joins its caller's;
none of them can run outside one. Never makes a remote call, and never reads or writes `payment`.
"""
