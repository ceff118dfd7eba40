//! `waf explain`: why a logged transaction was refused.

use clap::Args;

use super::super::Context;
use super::report;
use crate::failure::Failure;
use crate::model::Explanation;

/// Options of `waf explain`.
#[derive(Debug, Args)]
pub struct Explain {
    /// The id that the refusal page and `waf logs` show
    #[arg(value_name = "TRANSACTION-ID")]
    transaction: String,
}

impl Explain {
    /// Prints what was logged, the rules that matched and what would silence them.
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let id = self.transaction.trim().trim_matches(['[', ']']);
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
            return Err(Failure::usage(format!("`{id}` is no transaction id"))
                .hint("`hop3 waf logs APP` shows the ids, in brackets"));
        }
        let explanation: Explanation = context.client.get(&format!("/v1/waf/transactions/{id}")).await?;
        context.output.result(&explanation, || report::explanation(&explanation))
    }
}
