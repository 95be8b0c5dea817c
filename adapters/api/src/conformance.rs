//! The suite that every adapter runs in its tests (feature `conformance`).
