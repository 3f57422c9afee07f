//! The program `nanny-tls`: nanny with a TLS library in it. nanny becomes it when a
//! check needs one, so that those that need none do not pay for its memory.

fn main() -> std::process::ExitCode {
    nanny::main_with_tls()
}
