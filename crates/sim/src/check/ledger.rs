//! Promises about the ledger and about whom it is shown to.

use std::collections::BTreeMap;

use base::{Generation, InstanceId};
use facts::promise;

use super::{Violation, broken};
use crate::Sight;

/// Generations that the machine and the gateway obeyed, and those of wishes, never go back.
pub fn generations_rise(sight: &Sight) -> Vec<Violation> {
    const PROMISE: &str = "generations never go back";
    let mut found = Vec::new();
    let mut newest: BTreeMap<InstanceId, Generation> = BTreeMap::new();
    for call in &sight.calls {
        let last = newest.entry(call.id).or_default();
        if call.generation < *last {
            found.push(broken(PROMISE, format!("{} obeyed {} after {last}", call.id, call.generation)));
        }
        *last = call.generation.max(*last);
    }
    if let Some(pair) = sight.taken.windows(2).find(|pair| pair.first() > pair.last()) {
        found.push(broken(PROMISE, format!("the gateway took {pair:?}")));
    }
    let mut wishes: BTreeMap<(&str, &str), Generation> = BTreeMap::new();
    for fact in sight.facts.iter().filter(|fact| fact.kind.ends_with(".wanted")) {
        let last = wishes.entry((&fact.kind, &fact.subject)).or_default();
        found.extend(promise::rises(&fact.kind, &fact.subject, *last, fact.generation));
        *last = fact.generation;
    }
    found
}

/// The chain of the ledger is whole.
pub fn chain_is_sound(sight: &Sight) -> Vec<Violation> {
    sight.chain.iter().map(|what| broken("the ledger's chain is sound", what.clone())).collect()
}

/// What was acknowledged is in the ledger, and by one request of those that carried its key.
pub fn acknowledged_is_kept(sight: &Sight) -> Vec<Violation> {
    let mut by_request: BTreeMap<&str, usize> = BTreeMap::new();
    for cause in sight.facts.iter().filter_map(|fact| fact.cause.as_deref()) {
        *by_request.entry(cause).or_default() += 1;
    }
    let count = |ack: &crate::Ack| ack.requests.iter().filter(|id| by_request.contains_key(id.as_str())).count();
    sight
        .acks
        .iter()
        .filter_map(|ack| match count(ack) {
            1 => None,
            0 => Some(broken("nothing acknowledged is lost", format!("{} under the key {}", ack.endpoint, ack.key))),
            n => Some(broken(
                "nothing is done twice",
                format!("{} under the key {} left {n} traces", ack.endpoint, ack.key),
            )),
        })
        .collect()
}

/// Nobody is shown what belongs to a team that they are not in.
pub fn nothing_leaks(sight: &Sight) -> Vec<Violation> {
    let leak =
        |leak: &crate::Leak| broken("a team's things are its own", format!("{} of {}", leak.endpoint, leak.subject));
    sight.leaks.iter().map(leak).collect()
}
