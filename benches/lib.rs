//! Criterion benches of the engine, and what access costs the whole server; the load tester stands in `load/`.
