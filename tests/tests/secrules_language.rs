//! ModSecurity's SecLang language tests: every operator and every transformation, one value at a time.

use std::path::Path;

use hop3_tests::data;
use hop3_tests::report::Report;
use hop3_tests::secrules::case::{self, Case};
use hop3_tests::secrules::operator::{self, Judged};
use hop3_tests::secrules::transformation::{self, Passed};

#[test]
fn operators_and_transformations_of_the_language() {
    let Some(suite) = data::suite("modsecurity-tests") else { return };
    let mut report = Report::new("secrules-language");
    for folder in ["operators", "transformations"] {
        let folder = suite.join("secrules-language-tests").join(folder);
        match case::files(&folder) {
            Ok(files) => files.iter().for_each(|file| run(&folder, file, &mut report)),
            Err(error) => report.skip(folder.display().to_string(), error.to_string()),
        }
    }
    report.print();
    assert!(report.judged() > 0, "no case was judged");
    assert!(report.failed().is_empty(), "{} cases failed", report.failed().len());
}

fn run(folder: &Path, file: &Path, report: &mut Report) {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let cases = match case::load(file) {
        Ok(cases) => cases,
        Err(why) => return report.fail(name, why),
    };
    for (number, case) in cases.iter().enumerate() {
        let label = format!("{name}#{number}");
        match case {
            Ok(case) => judge(folder, &label, case, report),
            Err(why) => report.fail(label, why),
        }
    }
}

fn judge(folder: &Path, label: &str, case: &Case, report: &mut Report) {
    let shown = || format!("{label} {}({}) on `{}`", case.name, case.param, case.input.escape_debug());
    match case.kind.as_str() {
        "op" => match operator::judge(folder, case) {
            Judged::Passed => report.pass(),
            Judged::Skipped(why) => report.skip(label, why),
            Judged::Failed(why) => report.fail(shown(), why),
        },
        "tfn" => match transformation::judge(case) {
            Ok(Passed::Whole) => report.pass(),
            Ok(Passed::UpToNul) => {
                report.note(format!("{label} passes as v3's own runner reads it, up to its first NUL"));
                report.pass();
            }
            Err(why) => report.fail(shown(), why),
        },
        other => report.skip(label, format!("`{other}` is no type of a case")),
    }
}
