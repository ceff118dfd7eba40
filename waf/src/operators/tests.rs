//! Operators through their common entrance.
