//! PURE. What a start or a reload would do with failover services, in the order
//! in which it would be said, for `--plan` and `--test-start`.

use super::ledger::Ledger;
use super::wanted::Block;

/// One line for each service: the file's first, then those that leave it. `ledger`
/// is what is started now.
pub fn preview(blocks: &[Block], ledger: &Ledger) -> Vec<String> {
    let wanted = blocks.iter().map(|block| {
        let Block { name, at, .. } = block;
        match ledger.get(&block.key) {
            Some(_) => format!("keep failover service {name} {at}, which is started"),
            None if block.start.is_empty() => format!("watch failover service {name} {at}"),
            None => format!("start failover service {name} {at}: {}", block.start.join(" ")),
        }
    });
    let leaving = ledger.iter().filter(|(key, _)| blocks.iter().all(|block| block.key != **key));
    let leaving = leaving.map(|(key, started)| {
        let how = if started.stop.is_empty() { String::new() } else { format!(": {}", started.stop.join(" ")) };
        format!("stop failover service {} ({key}){how}", started.name)
    });
    wanted.chain(leaving).collect()
}
