//! Routes and the span names made of them, each made once.
//!
//! A program has a handful of routes, so they are kept for good, and a request borrows its span's name
//! instead of formatting it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use super::method::{Method, SLOTS};

/// A program that makes up more routes than this has its names formatted for each request.
const MAX_KEPT: usize = 1_000;

/// A route's template, such as `/users/{id}`.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) template: &'static str,
    names: [OnceLock<&'static str>; SLOTS],
}

impl Route {
    /// The span's name: `GET /users/{id}`.
    pub(super) fn name(&self, method: &Method<'_>) -> Cow<'static, str> {
        match method.slot {
            Some(slot) => (*self.names[slot]
                .get_or_init(|| format!("{} {}", method.name, self.template).leak()))
            .into(),
            None => format!("{} {}", method.name, self.template).into(),
        }
    }
}

/// Remembers the one route that a service is usually mounted at; axum makes a service for each.
#[derive(Debug, Default)]
pub(super) struct LastRoute(OnceLock<&'static Route>);

impl LastRoute {
    /// The route of this template; `None` if there are too many.
    pub(super) fn find(&self, template: &str) -> Option<&'static Route> {
        match self.0.get() {
            Some(route) if route.template == template => Some(route),
            _ => {
                let route = kept(template, &ROUTES)?;
                Some(if self.0.set(route).is_ok() { route } else { kept(template, &ROUTES)? })
            }
        }
    }
}

static ROUTES: OnceLock<Mutex<Routes>> = OnceLock::new();

type Routes = HashMap<&'static str, &'static Route>;

fn kept(template: &str, routes: &OnceLock<Mutex<Routes>>) -> Option<&'static Route> {
    let routes = routes.get_or_init(Mutex::default);
    // A map that a panic left behind is whole: what can panic in here is the allocator.
    let mut routes = routes.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(route) = routes.get(template) {
        return Some(route);
    }
    if routes.len() >= MAX_KEPT {
        return None;
    }
    let template: &'static str = template.to_owned().leak();
    let route: &'static Route = Box::leak(Box::new(Route { template, names: Default::default() }));
    routes.insert(template, route);
    Some(route)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_and_its_names_are_made_once() {
        let (last, other) = (LastRoute::default(), LastRoute::default());
        let route = last.find("/users/{id}").unwrap();
        assert!(std::ptr::eq(route, other.find("/users/{id}").unwrap()));
        assert_eq!(last.find("/").unwrap().template, "/");
        let get = Method::of(&http::Method::GET, None);
        assert_eq!(route.name(&get), "GET /users/{id}");
        assert!(std::ptr::eq(&*route.name(&get), &*route.name(&get)));
        let report = http::Method::from_bytes(b"REPORT").unwrap();
        assert_eq!(route.name(&Method::of(&report, Some(&["REPORT"]))), "REPORT /users/{id}");
    }

    #[test]
    fn made_up_routes_are_not_kept_for_ever() {
        let routes = OnceLock::new();
        for number in 0..2 * MAX_KEPT {
            assert_eq!(kept(&format!("/{number}"), &routes).is_some(), number < MAX_KEPT);
        }
        assert_eq!(kept("/0", &routes).unwrap().template, "/0");
    }
}
