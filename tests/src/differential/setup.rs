//! The rules that both engines load.

use std::path::Path;

/// How the Core Rule Set is set up for a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    /// Detection only, paranoia level 4, every optional limit on: all phases run, every rule may be logged.
    Detection,
    /// Blocking at paranoia level 1, as users run it.
    Blocking,
}

impl Setup {
    /// Both, in the order in which they are compared.
    pub const ALL: [Self; 2] = [Self::Detection, Self::Blocking];

    /// The configuration, the rules below `crs` included. The scores of every transaction are logged by [`SCORES`].
    pub fn configuration(self, crs: &Path) -> String {
        let own = match self {
            Self::Detection => {
                "SecRuleEngine DetectionOnly\n\
                 SecAction \"id:900005,phase:1,nolog,pass,setvar:tx.reporting_level=0,\
                 setvar:tx.blocking_paranoia_level=4,setvar:tx.detection_paranoia_level=4,\
                 setvar:tx.crs_validate_utf8_encoding=1,setvar:tx.arg_name_length=100,\
                 setvar:tx.arg_length=400,setvar:tx.total_arg_length=64000,setvar:tx.max_num_args=255,\
                 setvar:tx.max_file_size=64100,setvar:tx.combined_file_sizes=65535\"\n"
            }
            Self::Blocking => "SecRuleEngine On\n",
        };
        let crs = crs.display();
        format!("{ENGINE}Include {crs}/crs-setup.conf.example\n{own}Include {crs}/rules/*.conf\n{REPORT}")
    }
}

const ENGINE: &str = "SecRequestBodyAccess On\n\
    SecResponseBodyAccess On\n\
    SecResponseBodyMimeType text/plain text/html text/xml application/json\n\
    SecRule REQUEST_HEADERS:Content-Type \"^(?:application(?:/soap\\+|/)|text/)xml\" \
    \"id:'200000',phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=XML\"\n\
    SecRule REQUEST_HEADERS:Content-Type \"^application/json\" \
    \"id:'200001',phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON\"\n\
    SecRule REQBODY_ERROR \"!@eq 0\" \
    \"id:'200002',phase:2,t:none,log,deny,status:400,msg:'Failed to parse request body.'\"\n\
    SecRule MULTIPART_STRICT_ERROR \"!@eq 0\" \
    \"id:'200003',phase:2,t:none,log,deny,status:400,msg:'Multipart request body failed strict validation.'\"\n\
    SecRule MULTIPART_UNMATCHED_BOUNDARY \"@eq 1\" \
    \"id:'200004',phase:2,t:none,log,deny,status:400,msg:'Multipart parser detected a possible unmatched boundary.'\"\n";

/// The rule whose message tells all scores.
pub const SCORES: u64 = 999_999;

const REPORT: &str = "SecAction \"id:999999,phase:5,log,pass,msg:'\
    %{tx.inbound_anomaly_score_pl1} %{tx.inbound_anomaly_score_pl2} %{tx.inbound_anomaly_score_pl3} %{tx.inbound_anomaly_score_pl4} \
    %{tx.outbound_anomaly_score_pl1} %{tx.outbound_anomaly_score_pl2} %{tx.outbound_anomaly_score_pl3} %{tx.outbound_anomaly_score_pl4} \
    sql %{tx.sql_injection_score} xss %{tx.xss_score} rfi %{tx.rfi_score} lfi %{tx.lfi_score} rce %{tx.rce_score} \
    php %{tx.php_injection_score} http %{tx.http_violation_score} session %{tx.session_fixation_score}'\"\n";

/// What v3 means where this engine follows v2 and Coraza: patterns match line by line, names of JSON arrays, and
/// REQUEST_BODY is always filled. To be read before the configuration, by this engine alone.
pub const MEANING_OF_V3: &str = "SecRxMode Multiline\n\
    SecJsonArrayPrefix On\n\
    SecAction \"id:4294967295,phase:1,nolog,noauditlog,pass,ctl:forceRequestBodyVariable=On\"\n";
