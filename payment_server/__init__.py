"""The payment server: takes down payments and their results, and sends the first notification of each.

Owns the `payment` table. Never reads the order database, never imports the order server or the scheduler.
"""
