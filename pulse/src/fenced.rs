//! The only module of the suite with unsafe code, four system calls that no crate we
//! use has a safe function for. Nothing else belongs here.
#![allow(unsafe_code, reason = "sockaddr_ll, sock_fprog and SCHED_RESET_ON_FORK; nix has none of them")]

pub mod packet_socket;
pub mod scheduler;
