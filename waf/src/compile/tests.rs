//! What compiles, and what is refused where.
