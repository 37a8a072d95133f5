"""How fast is it, beside others, on this machine? `make bench`; what it found stands in docs/benchmarks.md."""
