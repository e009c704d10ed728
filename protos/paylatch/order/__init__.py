"""The order side of the contract."""
