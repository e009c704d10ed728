"""The payment side of the contract."""
