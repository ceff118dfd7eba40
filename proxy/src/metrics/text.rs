//! The Prometheus text exposition format, version 0.0.4: families, samples, escaping.

use std::fmt::Write;

use crate::metrics::histogram::Histogram;

/// Collects the text of one scrape.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
}

impl Exposition {
    /// Starts a family; its samples must follow before the next family.
    pub fn family(&mut self, name: &str, kind: &str, help: &str) {
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        // Writing to a String cannot fail.
        let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    /// One sample.
    pub fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.text.push_str(name);
        self.labels(labels);
        let _ = writeln!(self.text, " {value}");
    }

    /// All samples of a histogram.
    pub fn histogram(&mut self, name: &str, labels: &[(&str, &str)], histogram: &Histogram) {
        let (buckets, total, sum) = histogram.snapshot();
        let bucket_name = format!("{name}_bucket");
        let mut bucket = |bound: &str, count: u64| {
            let labels: Vec<_> = labels.iter().copied().chain([("le", bound)]).collect();
            self.sample(&bucket_name, &labels, count as f64);
        };
        for (bound, count) in &buckets {
            bucket(&bound.to_string(), *count);
        }
        bucket("+Inf", total);
        self.sample(&format!("{name}_sum"), labels, sum);
        self.sample(&format!("{name}_count"), labels, total as f64);
    }

    /// The whole text.
    pub fn finish(self) -> String {
        self.text
    }

    fn labels(&mut self, labels: &[(&str, &str)]) {
        for (index, (name, value)) in labels.iter().enumerate() {
            self.text.push(if index == 0 { '{' } else { ',' });
            self.text.push_str(name);
            self.text.push_str("=\"");
            for character in value.chars() {
                match character {
                    '\\' => self.text.push_str("\\\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str("\\n"),
                    other => self.text.push(other),
                }
            }
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_escaped() {
        let mut out = Exposition::default();
        out.family("a_total", "counter", "Line one\nline \\ two.");
        out.sample("a_total", &[("app", "x\"y\\z\n"), ("code", "200")], 3.0);
        out.sample("b", &[], 0.5);
        let expected = "# HELP a_total Line one\\nline \\\\ two.\n# TYPE a_total counter\n\
            a_total{app=\"x\\\"y\\\\z\\n\",code=\"200\"} 3\nb 0.5\n";
        assert_eq!(out.finish(), expected);
    }

    #[test]
    fn histograms_end_in_infinity_sum_and_count() {
        let histogram = Histogram::new(&[0.001, 2.5]);
        histogram.observe(std::time::Duration::from_secs(1));
        let mut out = Exposition::default();
        out.histogram("h", &[("app", "a")], &histogram);
        let expected = "h_bucket{app=\"a\",le=\"0.001\"} 0\nh_bucket{app=\"a\",le=\"2.5\"} 1\n\
            h_bucket{app=\"a\",le=\"+Inf\"} 1\nh_sum{app=\"a\"} 1\nh_count{app=\"a\"} 1\n";
        assert_eq!(out.finish(), expected);
    }
}
