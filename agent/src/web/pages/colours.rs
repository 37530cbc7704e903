//! Which service has which colour: the same on every page, and its own while there are enough.

use std::collections::HashMap;

use crate::store::{ReadError, Store};

/// How many colours the style has; further services share them.
const COLOURS: usize = 8;

/// The colours of the services of a page.
pub(super) struct Colours {
    by_service: HashMap<String, usize>,
}

impl Colours {
    /// Every service whose lines are kept has a place before those that only a page names, so that pages which show
    /// some of them agree.
    pub(super) async fn of(store: &Store, on_page: &[String]) -> Result<Self, ReadError> {
        let known = store.label_values("service_name".to_owned(), 0, i64::MAX).await?;
        Ok(Self::new(known.iter().chain(on_page).map(String::as_str)))
    }

    fn new<'a>(services: impl Iterator<Item = &'a str>) -> Self {
        let mut is_taken = [false; COLOURS];
        let mut by_service = HashMap::new();
        for service in services.map(name) {
            if by_service.contains_key(service) {
                continue;
            }
            // Its name decides, so that services which come and go change the colours of as few others as they can.
            let wanted = wanted(service);
            let free = (0..COLOURS).map(|step| (wanted + step) % COLOURS).find(|at| !is_taken[*at]);
            let colour = free.unwrap_or(wanted);
            is_taken[colour] = true;
            by_service.insert(service.to_owned(), colour);
        }
        Self { by_service }
    }

    /// The colour of a service, by its name or by its `job`.
    pub(super) fn get(&self, service: &str) -> usize {
        let service = name(service);
        self.by_service.get(service).copied().unwrap_or_else(|| wanted(service))
    }
}

/// The name in a `job`, which may have the service's namespace before it.
fn name(job: &str) -> &str {
    job.rsplit_once('/').map_or(job, |(_, name)| name)
}

/// FNV-1a: a page of tomorrow, made by another process, must come to the same.
fn wanted(service: &str) -> usize {
    let hash = service
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    hash as usize % COLOURS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_have_colours_of_their_own_until_there_are_none_left() {
        let services: Vec<_> = (0..20).map(|n| format!("service-{n}")).collect();
        let colours = Colours::new(services.iter().map(String::as_str));
        let mut first: Vec<_> = services[..COLOURS].iter().map(|name| colours.get(name)).collect();
        first.sort_unstable();
        assert_eq!(first, (0..COLOURS).collect::<Vec<_>>());
        assert!(services.iter().all(|name| colours.get(name) < COLOURS));
    }

    #[test]
    fn a_job_has_the_colour_of_its_service() {
        let colours = Colours::new(["api-node", "api-python", "shop/api-node"].into_iter());
        assert_eq!(colours.get("shop/api-node"), colours.get("api-node"));
        assert_ne!(colours.get("api-python"), colours.get("api-node"));
    }
}
