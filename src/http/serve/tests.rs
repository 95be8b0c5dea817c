//! Connections as a misbehaving client makes them.
