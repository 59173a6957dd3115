//! Criterion benches of the engine; the load tester stands in `load/`.
