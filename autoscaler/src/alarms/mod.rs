//! Alarms, the queue that they wake, and the permissions of the autoscaler, as infrastructure that stays as it is.
//!
//! Other tools write the shard count into their alarms, so each reshard rewrites them, and one failed write leaves a stream
//! that nobody scales. Nothing here depends on the shard count: alarms on the stream's own metrics compare with the bounds
//! of the policy, alarms on the tool's metrics with shares of a shard, and neither needs to change after a reshard.
//!
//! ```text
//!   catalog (alarms) ──────┐                      ┌─▶ infra/aws/*.yaml        marked regions of a fixed text
//!   permission (actions) ──┼─▶ cloudformation ────┤
//!                          └─▶ terraform ─────────┼─▶ infra/terraform/*.tf
//!   AlarmSpec (values) ─────────────────────────── └─▶ parameters, tfvars     the only part that knows names
//!          └─ definitions ─▶ AlarmDefinition, for whoever puts alarms without a template
//! ```
//!
//! The templates take every name and number as a parameter, so they are the same for everybody and serve without this
//! crate, too. Rendering does no IO.

mod alarm;
mod catalog;
mod cloudformation;
mod definition;
mod metric;
mod permission;
mod region;
mod spec;
mod terraform;

pub use definition::{AlarmDefinition, AlarmSignal, WatchedMetric};
pub use metric::OwnMetric;
pub use spec::{AlarmSpec, SpecProblem, StreamAlarms};

/// The language of the templates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// YAML templates, and one parameter file for each stack.
    CloudFormation,
    /// A module, and its variables.
    Terraform,
}

/// Files to be written into one folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// Name and text of each file, templates first.
    pub files: Vec<(String, String)>,
}

/// Writes the templates, and the values of `spec` for them. A spec without streams gives the templates alone.
#[must_use]
pub fn render(spec: &AlarmSpec, form: Form) -> Rendered {
    let templates = match form {
        Form::CloudFormation => cloudformation::templates(),
        Form::Terraform => terraform::templates(),
    };
    let values = match form {
        Form::CloudFormation => cloudformation::parameters(spec),
        Form::Terraform => terraform::variables(spec),
    };
    let templates = templates.into_iter().map(|(name, text)| (name.to_owned(), text));
    Rendered { files: templates.chain(values).collect() }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::Policy;

    /// With this variable set, the test of drift writes the files instead.
    const WRITE: &str = "LEASEHOLD_WRITE_INFRA";

    #[test]
    fn the_committed_files_are_what_render_gives() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra");
        for (form, folder) in [(Form::CloudFormation, "aws"), (Form::Terraform, "terraform")] {
            for (name, text) in render(&AlarmSpec::default(), form).files {
                let path = root.join(folder).join(&name);
                if std::env::var_os(WRITE).is_some() {
                    fs::write(&path, &text).unwrap();
                }
                let committed = fs::read_to_string(&path).unwrap();
                assert!(
                    committed == text,
                    "{} is not what render gives: run this test with {WRITE}=1 and look at the difference",
                    path.display()
                );
            }
        }
    }

    #[test]
    fn values_stand_beside_the_templates_and_change_none() {
        let spec = AlarmSpec::default().with_stream("orders", &Policy::default()).unwrap();
        for form in [Form::CloudFormation, Form::Terraform] {
            let bare = render(&AlarmSpec::default(), form).files;
            let full = render(&spec, form).files;
            assert_eq!(full[..bare.len()], bare[..]);
            assert!(full.len() > bare.len());
            let values: String = full[bare.len()..].iter().map(|(_, text)| text.as_str()).collect();
            assert!(values.contains("orders"));
            assert!(!bare.iter().any(|(_, text)| text.contains("orders")));
        }
    }
}
