"""The contract of paylatch: .proto files and the code generated from them, side by side."""
