//! `audit`: who changed what.

use clap::Args;

use super::Context;
use super::table::Table;
use crate::api::wire::AuditLog;
use crate::failure::{Failure, Kind};

/// Options of `audit`.
#[derive(Debug, Args)]
pub struct AuditCommand {
    /// The newest N records
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    lines: usize,
    /// Recompute the hash of every record
    #[arg(long)]
    verify: bool,
}

impl AuditCommand {
    /// Prints the records; with `--verify` also whether the chain holds.
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let path = format!("/v1/audit?lines={}&verify={}", self.lines, self.verify);
        let log: AuditLog = context.client.get(&path).await?;
        if let Some(sequence) = log.broken_at {
            return Err(Failure::new(
                Kind::Conflict,
                format!("the audit log was changed at record {sequence}"),
            )
            .cause("its hash does not fit its content or the record before it")
            .hint("compare with a backup of the data directory"));
        }
        context.output.result(&log, || {
            let mut table = Table::new(["#", "Time", "Who", "Action", "Subject", "Particulars"]);
            for record in &log.records {
                table.row([
                    record.sequence.to_string(),
                    record.time.to_string(),
                    record.actor.to_string(),
                    record.action.clone(),
                    record.subject.clone(),
                    record.detail.clone(),
                ]);
            }
            let verified = if log.verified {
                format!("\n✓ All {} records hold together.", log.length)
            } else {
                String::new()
            };
            format!("{table}{verified}")
        })
    }
}
