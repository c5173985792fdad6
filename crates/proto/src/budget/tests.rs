//! What permits count, who may take more, and who gets what is returned.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::remote::{Delivery, Envelope, Key, MailboxSender};

const ALICE: Client = Client::V4([192, 0, 2, 1]);
const BOB: Client = Client::V4([192, 0, 2, 2]);

#[test]
fn each_client_has_a_share_of_its_own() {
    let budget = Budget::new("things", 100);
    let alice = budget.take(ALICE, 25).unwrap();
    assert!(budget.take(ALICE, 1).is_none());
    let bob = budget.take(BOB, 25).unwrap();
    let local = budget.take(Client::Unix, 50).unwrap();
    assert!(budget.take_shared(1).is_none(), "all of it is taken");
    drop(alice);
    let mut held = budget.take_shared(20).unwrap();
    assert!(!held.resize(26) && held.resize(25) && held.resize(3));
    drop((bob, local, held));
    let state = budget.lock();
    assert_eq!((state.used, state.by_client.is_empty()), (0, true));
}

#[test]
fn a_client_beyond_its_share_spares_what_others_may_need() {
    let budget = Budget::new("things", 100);
    let take = |client, amount| budget.take_sparing(client, amount, 30);
    // The first may be more than a share, a quarter.
    let first = take(ALICE, 40).unwrap();
    assert!(take(ALICE, 31).is_none());
    let second = take(ALICE, 30).unwrap();
    assert_eq!(budget.used(), 70);
    assert!(take(ALICE, 1).is_none());
    // The second still counts when the first is gone.
    drop(first);
    let third = take(ALICE, 40).unwrap();
    assert!(take(ALICE, 1).is_none());
    // Another client may take a first one, and what its share allows.
    let others = [take(BOB, 10).unwrap(), take(BOB, 15).unwrap()];
    assert!(take(BOB, 5).is_none() && take(Client::Unix, 6).is_none());
    let local = take(Client::Unix, 5).unwrap();
    drop((second, third, others, local));
    let state = budget.lock();
    assert_eq!((state.used, state.by_client.is_empty()), (0, true));
}

#[test]
fn the_total_can_be_changed_and_permits_stay_valid() {
    let budget = Budget::new("things", 10);
    assert_eq!((budget.name(), budget.total()), ("things", 10));
    let held = budget.take_shared(8).unwrap();
    budget.set_total(4);
    assert_eq!((budget.total(), budget.used(), held.amount()), (4, 8, 8));
    assert!(budget.take_shared(1).is_none());
    drop(held);
    assert!(budget.take_shared(4).is_some());
}

#[test]
fn a_shared_resource_counts_once_in_total_and_for_each_client_that_uses_it() {
    let budget = Budget::new("things", 100);
    let shared = budget.take_shared(20).unwrap();
    let readers = [ALICE, BOB].map(|client| budget.charge(client, 20).unwrap());
    assert_eq!(budget.used(), 20);
    assert!(budget.charge(ALICE, 6).is_none());
    drop(readers);
    assert!(budget.charge(ALICE, 25).is_some());
    drop(shared);
    assert_eq!(budget.used(), 0);
}

#[test]
fn permits_of_one_client_for_one_resource_count_once() {
    let (budget, granted) = (Budget::new("things", 8), Arc::<Granted>::default());
    let [one, two, three] = [1, 2, 3].map(|number| NonZeroU32::new(number).unwrap());
    let take = |client, resource| budget.take_once(client, resource, None);
    let mut of_one: Vec<_> = (0..100).map(|_| take(ALICE, one).unwrap()).collect();
    assert_eq!(budget.used(), 1);
    // Other resources and other clients count.
    let of_two = take(ALICE, two).unwrap();
    assert!(take(ALICE, three).is_none());
    let of_bob = take(BOB, one).unwrap();
    assert_eq!(budget.used(), 3);
    // A permit that was taken before is used, or returned.
    let before = budget.take(BOB, 1);
    let of_bob_two = budget.take_once(BOB, two, before).unwrap();
    assert_eq!(budget.used(), 4);
    drop(of_two);
    of_one.push(budget.take_once(ALICE, one, budget.take(ALICE, 1)).unwrap());
    assert_eq!(budget.used(), 3);
    let of_two = take(ALICE, two).unwrap();
    // The last one returns it, to a request that waits.
    assert!(granted.wait(&budget, ALICE, 0));
    of_one.truncate(1);
    assert!(granted.take().is_empty());
    drop(of_one);
    assert_eq!(granted.take().len(), 1);
    drop((of_two, of_bob, of_bob_two));
    let state = budget.lock();
    assert!(state.used == 0 && state.by_client.is_empty() && state.uses.is_empty());
}

#[test]
fn a_permit_can_be_set_beyond_the_total() {
    let budget = Budget::new("things", 100);
    let mut permit = budget.empty_permit(ALICE);
    assert!(!budget.is_exhausted(ALICE));
    permit.set(500);
    assert_eq!(
        (budget.used(), budget.is_exhausted(ALICE), budget.is_exhausted(BOB)),
        (500, true, true)
    );
    permit.set(25);
    assert_eq!((budget.is_exhausted(ALICE), budget.is_exhausted(BOB)), (true, false));
    permit.set(24);
    assert!(!budget.is_exhausted(ALICE));
    drop(permit);
    assert_eq!(budget.used(), 0);
}

#[test]
fn exhaustion_is_reported_once_a_minute_with_the_number_of_requests() {
    let budget = Budget::new("things", 0);
    let at = |secs: u64| Time::ZERO + Duration::from_secs(secs);
    assert_eq!(budget.report(at(5)), Some(1));
    assert_eq!((budget.report(at(6)), budget.report(at(64))), (None, None));
    assert_eq!(budget.report(at(65)), Some(3));
}

/// Keeps the permits that are sent to those who wait.
#[derive(Default)]
struct Granted(Mutex<Vec<(Ticket, Permit)>>);

impl MailboxSender for Granted {
    fn send(&self, envelope: Envelope) {
        let Delivery::Settled(ticket, Ok(message)) = envelope.content else { return };
        self.0.lock().unwrap().push((ticket, *message.downcast().unwrap()));
    }

    fn is_on_event_loop(&self) -> bool {
        true
    }
}

impl Granted {
    fn wait(self: &Arc<Self>, budget: &Arc<Budget>, client: Client, id: u64) -> bool {
        let promise = || Promise::new(Arc::clone(self) as _, (Key(1), 0), Ticket(id));
        budget.wait(client, promise).is_some()
    }

    /// The tickets and clients of the permits that were granted since the last call.
    fn take(&self) -> Vec<(u64, Permit)> {
        let granted = std::mem::take(&mut *self.0.lock().unwrap());
        granted.into_iter().map(|(ticket, permit)| (ticket.0, permit)).collect()
    }
}

#[test]
fn what_is_returned_goes_to_the_waiting_client_that_holds_least() {
    let (budget, granted) = (Budget::new("things", 8), Arc::<Granted>::default());
    let mut alice: Vec<_> = (0..2).map(|_| budget.take(ALICE, 1).unwrap()).collect();
    let local = budget.take(Client::Unix, 4).unwrap();
    let shared = budget.take_shared(2).unwrap();
    for (client, id) in [(ALICE, 0), (ALICE, 1), (BOB, 2), (ALICE, 3)] {
        assert!(granted.wait(&budget, client, id));
    }
    assert!(granted.take().is_empty());
    // Alice has less of what others return than her share.
    drop(shared);
    let to_bob = granted.take();
    assert_eq!(to_bob.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [2]);
    assert_eq!(budget.used(), 7);
    // Alice's own permit goes to her next request, and each that is returned again to another.
    for id in [0, 1, 3] {
        drop(alice.remove(0));
        let mut next = granted.take();
        assert_eq!(next.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [id]);
        alice.extend(next.pop().map(|(_, permit)| permit));
    }
    drop((alice, to_bob, local));
    assert!(granted.take().is_empty());
    let state = budget.lock();
    assert_eq!((state.used, state.by_client.is_empty()), (0, true));
}

#[test]
fn those_that_wait_are_limited_and_get_what_is_there() {
    let (budget, granted) = (Budget::new("things", 0), Arc::<Granted>::default());
    assert!(!granted.wait(&budget, ALICE, 0), "there will never be any");
    budget.set_total(4);
    assert!(granted.wait(&budget, ALICE, 0));
    assert_eq!(granted.0.lock().unwrap().len(), 1, "returned before it waited");
    let of_alice = (1..).take_while(|id| granted.wait(&budget, ALICE, *id)).count() as u64;
    assert_eq!(of_alice, MAX_WAITING / 4);
    // A larger budget serves more.
    budget.set_total(8);
    assert_eq!(granted.take().len(), 2);
}

proptest! {
    #[test]
    fn the_counts_are_the_sums_of_the_existing_permits(
        steps in proptest::collection::vec((0..3u8, 0..2u8, 0..40u64, any::<bool>()), 0..60),
    ) {
        let budget = Budget::new("things", 100);
        let mut permits = Vec::new();
        for (kind, client, amount, drops) in steps {
            let client = [ALICE, Client::Unix][usize::from(client)];
            permits.extend(match kind {
                0 => budget.take(client, amount),
                1 => budget.take_shared(amount),
                _ => budget.charge(client, amount),
            });
            if drops && !permits.is_empty() {
                drop(permits.swap_remove(amount as usize % permits.len()));
            }
            let sum = |filter: &dyn Fn(&&Permit) -> bool| -> u64 {
                permits.iter().filter(filter).map(|permit| permit.amount).sum()
            };
            prop_assert_eq!(budget.used(), sum(&|permit| permit.in_total));
            prop_assert!(budget.used() <= 100);
            for client in [ALICE, Client::Unix] {
                let has = budget.lock().by_client.get(client);
                prop_assert_eq!(has, sum(&|permit| permit.client == Some(client)));
                prop_assert!(has <= client.share(100));
            }
        }
    }
}
