//! Criterion benches of the engine and of the parts of a checkout, and what access costs the whole server; the load
//! tester stands in `load/`.
