//! The black-box tests: the real binary, over real HTTP. See `README.md` here.
