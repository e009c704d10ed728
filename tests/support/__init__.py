"""What tests are built from: a clock that jumps, databases, builders of rows, fakes of the remote side."""
