//! `skip` and `skipAfter` become positions in the phase.

use hop3_seclang::ast::Action;

use super::draft::Draft;

/// For each draft, where its phase goes on after a match; `None` is the next rule.
pub(super) fn resolve(drafts: &[Draft], markers: &[(String, usize)]) -> Vec<Option<usize>> {
    let positions = positions(drafts);
    let resolve = |index: usize| {
        let draft = &drafts[index];
        draft.links.iter().flat_map(|link| link.actions.iter()).find_map(|action| match &action.node {
            Action::Skip(count) => Some(positions[index] + 1 + *count as usize),
            Action::SkipAfter(name) => Some(after(name, index, drafts, markers, &positions)),
            _ => None,
        })
    };
    (0..drafts.len()).map(resolve).collect()
}

/// Number of rules of the same phase before each draft.
fn positions(drafts: &[Draft]) -> Vec<usize> {
    let mut counts = [0; 5];
    let position = |draft: &Draft| {
        let count = &mut counts[usize::from(draft.phase.number() - 1)];
        let position = *count;
        *count += usize::from(!draft.removed);
        position
    };
    drafts.iter().map(position).collect()
}

/// The position after a marker, or after the rule of that id. One that is
/// unknown, or was passed already, ends the phase.
fn after(
    name: &str,
    from: usize,
    drafts: &[Draft],
    markers: &[(String, usize)],
    positions: &[usize],
) -> usize {
    let marker = markers.iter().find(|(known, at)| known == name && *at > from).map(|(_, at)| *at);
    let rule = || {
        let id: u64 = name.parse().ok()?;
        (from + 1..drafts.len()).find(|&index| drafts[index].id == id).map(|index| index + 1)
    };
    let Some(place) = marker.or_else(rule) else { return usize::MAX };
    let phase = drafts[from].phase;
    (place..drafts.len())
        .find(|&index| drafts[index].phase == phase)
        .map_or(usize::MAX, |index| positions[index])
}
