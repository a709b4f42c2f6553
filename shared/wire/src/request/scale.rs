//! `scaleSettings`: a fixed number of nodes, or a range that follows the queue (docs/contract.md,
//! "Clusters").

use crate::read::{Fields, Place};
use crate::rules;
use model::{NodeDeallocation, ScaleSettings, limits};
use serde_json::json;

const DEALLOCATION: [(&str, NodeDeallocation); 3] = [
    ("requeue", NodeDeallocation::Requeue),
    ("terminate", NodeDeallocation::Terminate),
    ("waitforjobcompletion", NodeDeallocation::WaitForJobCompletion),
];

/// The default of the contract for a cluster without `scaleSettings`.
pub(super) const NO_NODES: ScaleSettings = ScaleSettings::Manual {
    target_node_count: 0,
    node_deallocation_option: NodeDeallocation::Requeue,
};

/// The settings of a new cluster; they may be absent or empty.
pub(super) fn of_new_cluster(properties: &Fields<'_>) -> Option<ScaleSettings> {
    let Some(place) = properties.optional("scaleSettings") else {
        return Some(NO_NODES);
    };
    let settings = place.object()?;
    if settings.has("manual") || settings.has("autoScale") {
        one_kind(&settings)
    } else {
        Some(NO_NODES)
    }
}

/// The settings of an update. They replace the present ones as a whole, so they must not be empty: an
/// empty object would remove all nodes.
pub(super) fn of_update(place: &Place<'_>) -> Option<ScaleSettings> {
    let settings = place.object()?;
    rules::either(&settings, "manual", "autoScale");
    either_kind(&settings)
}

/// The settings of a new cluster that are not empty.
fn one_kind(settings: &Fields<'_>) -> Option<ScaleSettings> {
    settings.describe(|| json!({ "not": { "required": ["manual", "autoScale"] } }));
    if settings.has("manual") && settings.has("autoScale") {
        settings.invalid("must have either manual or autoScale, not both");
    }
    either_kind(settings)
}

fn either_kind(settings: &Fields<'_>) -> Option<ScaleSettings> {
    let manual = settings.optional("manual").map(|place| manual(&place.object()?));
    let automatic = settings.optional("autoScale").map(|place| auto_scale(&place.object()?));
    manual.or(automatic)?
}

fn manual(settings: &Fields<'_>) -> Option<ScaleSettings> {
    let target = node_count(settings.required("targetNodeCount"));
    let deallocation = match settings.optional("nodeDeallocationOption") {
        Some(place) => rules::one_of(&place, &DEALLOCATION),
        None => Some(NodeDeallocation::default()),
    };
    Some(ScaleSettings::Manual {
        target_node_count: target?,
        node_deallocation_option: deallocation?,
    })
}

fn auto_scale(settings: &Fields<'_>) -> Option<ScaleSettings> {
    let minimum = node_count(settings.required("minimumNodeCount"));
    let maximum = node_count(settings.required("maximumNodeCount"));
    let initial = match settings.optional("initialNodeCount") {
        Some(place) => node_count(Some(place)),
        None => Some(0),
    };
    let (minimum, maximum, initial) = (minimum?, maximum?, initial?);
    if minimum > maximum {
        settings.invalid(&format!(
            "must not have a minimumNodeCount ({minimum}) above its maximumNodeCount ({maximum})"
        ));
    }
    if initial > maximum {
        settings.invalid(&format!(
            "must not have an initialNodeCount ({initial}) above its maximumNodeCount ({maximum})"
        ));
    }
    Some(ScaleSettings::AutoScale {
        minimum_node_count: minimum,
        maximum_node_count: maximum,
        initial_node_count: initial,
    })
}

fn node_count(place: Option<Place<'_>>) -> Option<u32> {
    place?.whole_number(0..=limits::MAX_NODES_PER_CLUSTER)
}
