//! Files, and the scripts of applications that run one file per page.

use std::sync::Arc;

use super::request::stripped_prefix;
use super::response::ResponseBody;
use crate::downstream::{ResponseLength, ResponseSink};
use crate::exchange::{Exchange, Stop};
use crate::policy::admission::no_file;
use crate::static_files::{FileAnswer, StaticFiles};
use crate::table::LiveRoute;
use crate::upstream::cgi::Script;
use crate::upstream::fastcgi::{FastCgi, ScriptFiles};
use crate::upstream::http::ForwardedRequest;

/// Who answers a request to an application of one file per page.
pub(super) enum Scripted {
    /// This script, or the application as a whole.
    Script(Option<Script>),
    /// A file that was sent already.
    Served,
}

impl Exchange<'_> {
    /// Answers with a file.
    pub(crate) async fn serve_file(
        &mut self,
        files: &Arc<StaticFiles>,
        sink: &mut ResponseSink<'_>,
    ) -> Result<(), Stop> {
        let answer = files.answer(self.request).await.map_err(no_file)?;
        self.send_file(answer, sink).await
    }

    /// The file that answers, for applications that run one file per page. Files beside the scripts are served.
    pub(super) async fn script(
        &mut self,
        application: &FastCgi,
        live: &LiveRoute,
        forwarded: &ForwardedRequest,
        sink: &mut ResponseSink<'_>,
    ) -> Result<Scripted, Stop> {
        let Some(scripts) = &application.scripts else { return Ok(Scripted::Script(None)) };
        let target = &forwarded.path_and_query;
        if matches!(&self.request.method[..], b"GET" | b"HEAD") && ScriptFiles::may_be_file(target) {
            let prefix = stripped_prefix(live).unwrap_or_default();
            match scripts.files.answer_below(prefix, self.request).await {
                Ok(answer) => return self.send_file(answer, sink).await.map(|()| Scripted::Served),
                Err(404) => {}
                Err(status) => return Err(no_file(status)),
            }
        }
        let (scripts, target) = (scripts.clone(), target.clone());
        let found = tokio::task::spawn_blocking(move || scripts.find(&target)).await;
        match found {
            Ok(Ok(script)) => Ok(Scripted::Script(Some(script))),
            Ok(Err(_)) => Err(Stop::answer(404, "no script for this path")),
            Err(error) => Err(Stop::answer(500, error.to_string())),
        }
    }

    async fn send_file(&mut self, mut answer: FileAnswer, sink: &mut ResponseSink<'_>) -> Result<(), Stop> {
        self.inspect_response_head(&answer.head)?;
        let length = ResponseLength::Known(answer.length);
        let body = answer.file.as_mut().map_or(ResponseBody::None, ResponseBody::File);
        self.respond(answer.head, length, body, false, None, sink).await
    }
}
