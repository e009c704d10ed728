"""The order server: takes down what became of payments and keeps the orders (SPEC 5, 6)."""
