"""Databases: opening them, transactions, set-based statements, migrations. Never knows a payment or an order."""
