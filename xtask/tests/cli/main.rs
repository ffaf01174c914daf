//! `cargo xtask` as a process, with stage binaries that compute nothing: what is printed, what is run, what is answered.
#![cfg(unix)]

mod build;
mod interrupt;
mod place;
mod refuse;
mod report;
mod run;
mod store;
