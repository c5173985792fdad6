//! Many requests for the same name, and lookups that fail.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{Client, debug_number, memory};
use crate::store::memory::InjectedFault;

#[test]
fn requests_for_one_name_share_a_lookup() {
    let (store, site) = memory(&[("a.txt", "Hello")]);
    let mut clients: Vec<Client> = (0..5).map(|_| Client::new(&site)).collect();
    for client in &mut clients {
        client.ask("GET", "/a.txt", "");
    }
    assert_eq!(clients[0].0.run_jobs(), 1);
    for client in &mut clients[1..] {
        assert_eq!(client.0.run_jobs(), 0);
    }
    for client in &mut clients {
        assert_eq!(client.response().unwrap().text(), "Hello");
    }
    assert_eq!(store.opens(), 1);
    // Its result is cached now.
    assert_eq!(clients[3].get("/a.txt").text(), "Hello");
    assert_eq!(store.opens(), 1);
}

#[test]
fn different_names_do_not_wait_for_each_other() {
    let (_, site) = memory(&[("a.txt", "a"), ("b.txt", "b")]);
    let (mut first, mut second) = (Client::new(&site), Client::new(&site));
    first.ask("GET", "/a.txt", "");
    assert_eq!(second.get("/b.txt").text(), "b");
    assert_eq!(first.response(), None);
    first.0.run_jobs();
    assert_eq!(first.response().unwrap().text(), "a");
}

#[test]
fn abandoned_lookups_are_not_run_and_the_next_request_starts_one() {
    let (store, site) = memory(&[("a.txt", "Hello")]);
    let (mut first, mut second) = (Client::new(&site), Client::new(&site));
    first.ask("GET", "/a.txt", "");
    first.close();
    second.ask("GET", "/a.txt", "");
    assert_eq!(first.0.run_jobs(), 0);
    assert_eq!(second.0.run_jobs(), 1);
    assert_eq!(second.response().unwrap().text(), "Hello");
    assert_eq!(store.opens(), 1);
}

#[test]
fn joined_lookups_outlive_the_connection_that_started_them() {
    let (_, site) = memory(&[("a.txt", "Hello")]);
    let (mut first, mut second) = (Client::new(&site), Client::new(&site));
    first.ask("GET", "/a.txt", "");
    second.ask("GET", "/a.txt", "");
    first.close();
    first.0.run_jobs();
    second.0.deliver();
    assert_eq!(second.response().unwrap().text(), "Hello");
}

#[test]
fn refused_lookups_are_503_and_joined_requests_retry() {
    let (_, site) = memory(&[("a.txt", "Hello")]);
    let (mut first, mut second) = (Client::new(&site), Client::new(&site));
    first.ask("GET", "/a.txt", "");
    second.ask("GET", "/a.txt", "");
    first.0.drop_jobs();
    let got = first.response().unwrap();
    assert_eq!((got.status, got.field("Retry-After")), (503, Some("1")));
    second.0.deliver();
    assert_eq!(second.response(), None);
    second.0.run_jobs();
    assert_eq!(second.response().unwrap().text(), "Hello");
    assert_eq!(first.get("/a.txt").text(), "Hello");
}

#[test]
fn refused_lookups_are_answered_from_the_cache() {
    let (store, site) = memory(&[("a.txt", "Hello")]);
    let mut client = Client::new(&site);
    assert_eq!(client.get("/a.txt").text(), "Hello");
    client.pass(2000);
    store.write("a.txt", "World");
    client.ask("GET", "/a.txt", "");
    client.0.drop_jobs();
    assert_eq!(client.response().unwrap().text(), "Hello");
    assert_eq!(client.get("/a.txt").text(), "World");
}

#[test]
fn panicking_lookups_are_500_and_the_name_can_be_requested_again() {
    let (store, site) = memory(&[("a.txt", "Hello")]);
    store.fail("a.txt", Some(InjectedFault::Panic));
    let mut client = Client::new(&site);
    client.ask("GET", "/a.txt", "");
    let ran = catch_unwind(AssertUnwindSafe(|| client.0.run_jobs()));
    assert!(ran.is_err());
    client.0.deliver();
    assert_eq!(client.response().unwrap().status, 500);
    store.fail("a.txt", None);
    assert_eq!(client.get("/a.txt").text(), "Hello");
}

#[test]
fn abandoned_failed_lookups_are_retried() {
    let (_, site) = memory(&[("a.txt", "Hello")]);
    let mut first = Client::new(&site);
    first.ask("GET", "/a.txt", "");
    // The connection is closed, and its job cancelled.
    drop(first);
    assert_eq!(Client::new(&site).get("/a.txt").text(), "Hello");
}

#[test]
fn abandoned_lookups_do_not_accumulate() {
    let (_, site) = memory(&[]);
    for number in 0..1000 {
        let mut client = Client::new(&site);
        client.ask("GET", &format!("/{number}"), "");
        client.close();
        client.0.run_jobs();
    }
    assert!((1..=256).contains(&debug_number(&site, "in_flight")), "{site:?}");
}
