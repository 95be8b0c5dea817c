//! The daemon as a process, its platforms' stand-ins on the other side: few tests, the whole line each.

mod clients;
mod daemon;
mod kills;
mod mistakes;
mod stop;
mod telegram;
mod web;
