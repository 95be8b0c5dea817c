//! HTTP: the public listener, the admin listener, the control socket.

pub mod config;
