//! Repeatable measurements, run by `packetboat bench …`.

pub mod line;
