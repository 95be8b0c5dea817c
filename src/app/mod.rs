//! The composition root: the only place that names concrete adapters, stores and generators.

pub mod line;

#[cfg(test)]
mod line_tests;
