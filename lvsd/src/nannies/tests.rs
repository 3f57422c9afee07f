//! Nannies of one destination each; those of several are in `sharing`.

use common::child::Exit;

use super::{Action, Duration, Message};

mod guests;
mod lives;
mod reload;
pub(crate) mod stage;
mod verdicts;

fn died(server: u8, exit: Exit) -> Action {
    let server = format!("s{server}");
    Action::Say(Message::NannyDied { name: "web".to_owned(), server, exit, why: None, again_in: Duration::ZERO })
}
