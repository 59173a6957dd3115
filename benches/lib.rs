//! Criterion benches of the engine and of the parts of a checkout, what access costs the whole server, and how the
//! whole stands beside others (`speed`) and scales (`curves`); these two are built in `speed/`, what they compare with
//! stands in `baselines/`, the load tester in `load/`.
