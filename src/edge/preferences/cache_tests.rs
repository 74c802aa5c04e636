use std::io::Write;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use tokio::time::{sleep, sleep_until};

use super::*;
use crate::domain::preferences::Preferences;
use crate::edge::preferences::{FixedPreferences, Unobserved};

const TTL: u64 = 60;
const SETTINGS: Settings = Settings {
    ttl: Duration::from_secs(TTL),
    max_stale: Duration::from_secs(900),
    refused_for: Duration::from_secs(900),
    lookups_per_second: NonZeroU32::new(50).unwrap(),
    max_tenants: 20_000,
};

/// A source that answers by script and remembers when it was asked.
struct Scripted {
    answers: Mutex<HashMap<TenantId, Fetched>>,
    latency: Mutex<Duration>,
    asked: Mutex<Vec<(TenantId, Instant)>>,
}

impl Scripted {
    fn new(latency: Duration) -> Arc<Self> {
        Arc::new(Self { answers: Mutex::default(), latency: Mutex::new(latency), asked: Mutex::default() })
    }

    fn answer(&self, name: &str, answer: &str) {
        lock(&self.answers).insert(tenant(name), fetched(answer));
    }

    fn times_asked(&self) -> usize {
        lock(&self.asked).len()
    }
}

impl PreferencesSource for Scripted {
    async fn fetch(&self, tenant: &TenantId) -> Fetched {
        lock(&self.asked).push((tenant.clone(), Instant::now()));
        let answer = lock(&self.answers).get(tenant).cloned().unwrap_or(Fetched::NotFound);
        let latency = *lock(&self.latency);
        if !latency.is_zero() {
            sleep(latency).await;
        }
        assert_ne!(answer, fetched("panic"));
        answer
    }

    fn foregone(&self, tenant: &TenantId) -> Option<Fetched> {
        let answer = lock(&self.answers).get(tenant).cloned();
        answer.filter(|answer| *answer == Fetched::NoCredential)
    }
}

#[derive(Default)]
struct Counts {
    hits: AtomicUsize,
    misses: AtomicUsize,
    stale: AtomicUsize,
    refreshes: Mutex<Vec<&'static str>>,
}

impl Observer for Counts {
    fn hits(&self, times: u64) {
        self.hits.fetch_add(times as usize, Ordering::Relaxed);
    }
    fn miss(&self) {
        self.misses.fetch_add(1, Ordering::Relaxed);
    }
    fn refresh(&self, result: &'static str) {
        lock(&self.refreshes).push(result);
    }
    fn stale_served(&self) {
        self.stale.fetch_add(1, Ordering::Relaxed);
    }
}

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

fn version(version: &str) -> Preferences {
    Preferences { enabled: true, updated_at: Some(version.to_owned()), ..Preferences::OFF }
}

/// A source's answer from its short name; a name like `v1` is a document of that version.
fn fetched(name: &str) -> Fetched {
    let reason = name.to_owned();
    match name {
        "404" => Fetched::NotFound,
        "away" | "panic" => Fetched::Away { reason },
        "bad" => Fetched::Unreadable(reason),
        "own 401" => Fetched::Refused { own_credential: true, reason },
        "shared 401" => Fetched::Refused { own_credential: false, reason },
        "no credential" => Fetched::NoCredential,
        document => Fetched::Document(version(document)),
    }
}

/// What a look-up was told, in short.
fn short(answer: Result<Lookup, Box<Unavailable>>) -> String {
    match answer {
        Ok(Lookup::Known(preferences)) => preferences.updated_at.clone().unwrap(),
        Ok(Lookup::NoTenant) => "none".to_owned(),
        Ok(Lookup::Unusable { reason }) => format!("unusable: {reason}"),
        Err(unavailable) => format!("held: {}", unavailable.reason),
    }
}

/// Plays a story of one tenant: at each moment (in tenths of a second) the source's answer is set and the tenant looked up,
/// told so, with the source asked so many times in all once what the look-up began in the background is over.
async fn play(story: &[(u64, &str, &str, usize)]) {
    let source = Scripted::new(Duration::ZERO);
    let observer = Arc::new(Counts::default());
    let cache = PreferencesCache::new(Arc::clone(&source), SETTINGS, Arc::clone(&observer) as Arc<dyn Observer>);
    let start = Instant::now();
    for &(at, answer, want, asked) in story {
        let moment = start + Duration::from_millis(at * 100);
        sleep_until(moment).await;
        source.answer("acme", answer);
        let stale_before = observer.stale.load(Ordering::Relaxed);
        let told = short(cache.of(&tenant("acme")).await);
        let stale = if observer.stale.load(Ordering::Relaxed) > stale_before { "stale " } else { "" };
        assert_eq!(format!("{stale}{told}"), want, "at {at} of {story:?}");
        // Virtual time moves only when every task waits: then the background has come to rest.
        sleep_until(moment + Duration::from_millis(1)).await;
        assert_eq!(source.times_asked(), asked, "at {at} of {story:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_fresh_copy_is_served_and_read_again_ahead_of_its_end() {
    play(&[(0, "v1", "v1", 1), (479, "v2", "v1", 1), (480, "v2", "v1", 2), (481, "v3", "v2", 2), (961, "v3", "v2", 3)])
        .await;
    // Nobody looked between 80 % and the end: the look-up after it waits for the new copy.
    play(&[(0, "v1", "v1", 1), (470, "v2", "v1", 1), (600, "v2", "v2", 2)]).await;
    // A refresh that fails leaves the copy its time, and is tried again a second later.
    play(&[
        (0, "v1", "v1", 1),
        (500, "away", "v1", 2),
        (505, "away", "v1", 2),
        (511, "v2", "v1", 3),
        (512, "v3", "v2", 3),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_tenant_without_preferences_is_remembered_for_the_ttl() {
    play(&[(0, "404", "none", 1), (470, "v1", "none", 1), (600, "v1", "v1", 2)]).await;
    play(&[(0, "v1", "v1", 1), (600, "404", "none", 2), (1000, "404", "none", 2)]).await;
    // Without a credential nobody is asked.
    play(&[(0, "no credential", "none", 0), (590, "v1", "none", 1), (591, "v1", "v1", 1)]).await;
}

#[tokio::test(start_paused = true)]
async fn a_tenant_without_preferences_stays_unknown_while_the_source_fails_until_that_is_too_old() {
    for failure in ["away", "shared 401", "own 401"] {
        let held = format!("held: {failure}");
        play(&[
            (0, "404", "none", 1),
            (600, failure, "stale none", 2),
            (605, failure, "stale none", 2),
            (8_999, failure, "stale none", 3),
            (9_000, failure, &held, 3),
            (9_011, "v1", "v1", 4),
        ])
        .await;
    }
    // Made while the source was away, it is known as soon as the source is back.
    play(&[(0, "404", "none", 1), (600, "away", "stale none", 2), (620, "v1", "stale none", 3), (621, "v1", "v1", 3)])
        .await;
    // What was known before it was not found is not told again.
    play(&[(0, "v1", "v1", 1), (600, "404", "none", 2), (1_200, "away", "stale none", 3)]).await;
    // What was found since, and cannot be read, is no absence.
    play(&[(0, "404", "none", 1), (600, "bad", "unusable: bad", 2), (1_200, "away", "held: away", 3)]).await;
    // A credential where there was none says that the tenant is new.
    play(&[(0, "no credential", "none", 0), (600, "away", "held: away", 1)]).await;
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_away_leaves_copies_until_they_are_too_old() {
    play(&[
        (0, "v1", "v1", 1),
        (600, "away", "stale v1", 2),
        (605, "away", "stale v1", 2),
        (611, "away", "stale v1", 3),
        (8_999, "away", "stale v1", 4),
        (9_000, "away", "held: away", 4),
        (9_010, "away", "held: away", 5),
        (9_015, "v2", "held: away", 5),
        (9_021, "v2", "v2", 6),
        (9_022, "v2", "v2", 6),
    ])
    .await;
    // Back within the TTL: the background brings the new copy.
    play(&[(0, "v1", "v1", 1), (600, "away", "stale v1", 2), (620, "v2", "stale v1", 3), (621, "v2", "v2", 3)]).await;
    // A failure older than the TTL says nothing any more: the look-up waits for the new copy.
    play(&[(0, "v1", "v1", 1), (600, "away", "stale v1", 2), (1_201, "v2", "v2", 3)]).await;
    // Cold.
    play(&[(0, "away", "held: away", 1), (9, "v1", "held: away", 1), (11, "v1", "v1", 2)]).await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_credential_holds_and_only_a_tenants_own_gives_up() {
    play(&[
        (0, "v1", "v1", 1),
        (600, "shared 401", "stale v1", 2),
        (9_000, "shared 401", "held: shared 401", 3),
        (99_000, "shared 401", "held: shared 401", 4),
        (99_020, "v2", "v2", 5),
    ])
    .await;
    play(&[
        (0, "own 401", "held: own 401", 1),
        (8_999, "own 401", "held: own 401", 2),
        (9_010, "own 401", "unusable: own 401", 3),
        (9_015, "v1", "unusable: own 401", 3),
        (9_021, "v1", "unusable: own 401", 4),
        (9_022, "v1", "v1", 4),
    ])
    .await;
    // A copy outlasts the patience with the refusal.
    play(&[
        (0, "v1", "v1", 1),
        (8_000, "own 401", "stale v1", 2),
        (9_000, "own 401", "held: own 401", 3),
        (17_000, "own 401", "unusable: own 401", 4),
    ])
    .await;
    // Silence is no acceptance, but gives nobody up either; an answer starts the time again.
    play(&[
        (0, "own 401", "held: own 401", 1),
        (9_100, "away", "held: away", 2),
        (9_200, "own 401", "unusable: own 401", 3),
        (9_900, "404", "none", 4),
        (10_500, "own 401", "stale none", 5),
        (19_499, "own 401", "held: own 401", 6),
        (19_510, "own 401", "unusable: own 401", 7),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_document_leaves_the_last_copy_until_it_is_too_old() {
    play(&[(0, "bad", "unusable: bad", 1), (470, "v1", "unusable: bad", 1), (600, "v1", "v1", 2)]).await;
    play(&[
        (0, "v1", "v1", 1),
        (600, "bad", "stale v1", 2),
        (8_999, "bad", "stale v1", 3),
        (9_000, "v2", "unusable: bad", 3),
        (9_590, "v2", "unusable: bad", 4),
        (9_591, "v2", "v2", 4),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_hundred_cold_look_ups_share_one_reading() {
    let source = Scripted::new(Duration::from_secs(1));
    source.answer("acme", "v1");
    let cache = PreferencesCache::new(Arc::clone(&source), SETTINGS, Arc::new(Unobserved));
    let acme = tenant("acme");
    let start = Instant::now();
    for answer in join_all((0..100).map(|_| cache.of(&acme))).await {
        assert_eq!(short(answer), "v1");
    }
    assert_eq!((source.times_asked(), start.elapsed()), (1, Duration::from_secs(1)));

    // A refresh that began ahead of time carries those who come after the end.
    source.answer("acme", "v2");
    *lock(&source.latency) = Duration::from_secs(20);
    sleep_until(start + Duration::from_secs(50)).await;
    assert_eq!(short(cache.of(&acme).await), "v1");
    sleep_until(start + Duration::from_secs(61)).await;
    for answer in join_all((0..100).map(|_| cache.of(&acme))).await {
        assert_eq!(short(answer), "v2");
    }
    assert_eq!((source.times_asked(), start.elapsed()), (2, Duration::from_secs(70)));
}

#[tokio::test(start_paused = true)]
async fn what_was_waited_for_is_near_from_then_on_unless_it_is_doubted_by_then() {
    let source = Scripted::new(Duration::from_secs(1));
    let cache = PreferencesCache::new(Arc::clone(&source), SETTINGS, Arc::new(Unobserved));
    for (name, doubted) in [("acme", false), ("other", true)] {
        source.answer(name, "v1");
        let (tenant, begun) = (tenant(name), wall_clock());
        let doubt = async {
            sleep(Duration::from_millis(500)).await;
            if doubted {
                cache.doubt(&tenant, begun.plus(Duration::from_secs(1))).await;
            }
        };
        let (told, ()) = tokio::join!(cache.of(&tenant), doubt);
        assert_eq!(short(told), "v1");
        assert_eq!(cache.inner.near.of(&tenant, Instant::now()).is_none(), doubted, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn many_cold_tenants_are_read_side_by_side_once_each_even_without_room_for_them() {
    let source = Scripted::new(Duration::from_secs(1));
    let settings = Settings { max_tenants: 1, ..SETTINGS };
    let cache = PreferencesCache::new(Arc::clone(&source), settings, Arc::new(Unobserved));
    let tenants: Vec<TenantId> = (0..30).map(|n| tenant(&format!("t{n}"))).collect();
    let start = Instant::now();
    let both = tokio::join!(cache.of_all(&tenants), async {
        cache.inner.slots.run_pending_tasks().await;
        cache.of_all(&tenants).await
    });
    assert_eq!(both.0.unwrap(), vec![Lookup::NoTenant; 30]);
    assert_eq!(both.1.unwrap(), vec![Lookup::NoTenant; 30]);
    assert_eq!((source.times_asked(), start.elapsed()), (30, Duration::from_secs(1)));
    cache.inner.slots.run_pending_tasks().await;
    assert!(cache.snapshot(100).len() <= 1);
    assert!(lock(&cache.inner.readings).is_empty());
}

#[tokio::test(start_paused = true)]
async fn one_unavailable_tenant_makes_the_batch_unavailable() {
    let source = Scripted::new(Duration::ZERO);
    source.answer("acme", "v1");
    source.answer("lost", "away");
    let cache = PreferencesCache::new(source, SETTINGS, Arc::new(Unobserved));
    let error = cache.of_all(&[tenant("acme"), tenant("lost"), tenant("acme")]).await.unwrap_err();
    assert_eq!(*error, Unavailable { tenant: tenant("lost"), reason: "away".to_owned(), since: Instant::now() });
    let known = cache.of_all(&[tenant("acme"), tenant("none")]).await.unwrap();
    assert_eq!(known, [Lookup::Known(Arc::new(version("v1"))), Lookup::NoTenant]);
}

#[tokio::test(start_paused = true)]
async fn a_made_up_tenant_holds_up_nobody_in_an_outage_for_as_long_as_copies_last() {
    let source = Scripted::new(Duration::from_secs(1));
    source.answer("acme", "v1");
    let cache = PreferencesCache::new(Arc::clone(&source), SETTINGS, Arc::new(Unobserved));
    let batch = [tenant("acme"), tenant("made-up"), tenant("acme")];
    let known = Lookup::Known(Arc::new(version("v1")));
    let want = [known.clone(), Lookup::NoTenant, known];
    let start = Instant::now();
    assert_eq!(cache.of_all(&batch).await.unwrap(), want);
    for name in ["acme", "made-up", "never-seen"] {
        source.answer(name, "away");
    }
    for seconds in (0..SETTINGS.max_stale.as_secs()).step_by(7) {
        sleep_until(start + Duration::from_secs(seconds)).await;
        assert_eq!(cache.of_all(&batch).await.unwrap(), want, "after {seconds} s");
    }
    sleep_until(start + SETTINGS.max_stale).await;
    assert_eq!(cache.of_all(&batch).await.unwrap_err().reason, "away");
    let never_seen = cache.of_all(&[tenant("never-seen")]).await.unwrap_err();
    assert_eq!(never_seen.tenant, tenant("never-seen"));
}

#[tokio::test(start_paused = true)]
async fn a_doubt_reads_again_at_once_only_what_is_older() {
    let ago = |seconds| wall_clock().minus(Duration::from_secs(seconds));
    let source = Scripted::new(Duration::from_secs(1));
    source.answer("acme", "v1");
    let cache = PreferencesCache::new(Arc::clone(&source), SETTINGS, Arc::new(Unobserved));
    let acme = tenant("acme");
    cache.doubt(&acme, ago(0)).await;
    assert_eq!(source.times_asked(), 0, "there is nothing to doubt");
    assert_eq!(short(cache.of(&acme).await), "v1");

    sleep(Duration::from_secs(10)).await;
    source.answer("acme", "v2");
    cache.doubt(&acme, ago(15)).await;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(source.times_asked(), 1, "the copy was asked for after the doubt");

    cache.doubt(&acme, ago(3)).await;
    assert_eq!(short(cache.of(&acme).await), "v1", "nobody waits for a doubt");
    sleep(Duration::from_millis(1_001)).await;
    assert_eq!(short(cache.of(&acme).await), "v2");
    cache.doubt(&acme, ago(4)).await;
    sleep(Duration::from_secs(2)).await;
    assert_eq!(source.times_asked(), 2, "the same doubt twice is one reading");

    // A doubt that comes while an older reading is under way is followed up by another reading.
    source.answer("acme", "v3");
    cache.doubt(&acme, ago(1)).await;
    sleep(Duration::from_millis(500)).await;
    source.answer("acme", "v4");
    cache.doubt(&acme, ago(0)).await;
    sleep(Duration::from_millis(501)).await;
    assert_eq!(short(cache.of(&acme).await), "v3");
    sleep(Duration::from_secs(1)).await;
    assert_eq!(short(cache.of(&acme).await), "v4");
    assert_eq!(source.times_asked(), 4);

    // A clock that runs ahead doubts what is there now, and at most once a second.
    for _ in 0..100 {
        cache.doubt(&acme, wall_clock().plus(Duration::from_secs(30))).await;
        sleep(Duration::from_millis(100)).await;
    }
    assert!((5..=15).contains(&source.times_asked()), "{}", source.times_asked());
}

#[tokio::test(start_paused = true)]
async fn what_is_doubted_or_cannot_be_read_any_more_is_not_told_as_it_was_a_moment_ago() {
    let source = Scripted::new(Duration::ZERO);
    let observer = Arc::new(Counts::default());
    let cache = PreferencesCache::new(Arc::clone(&source), SETTINGS, Arc::clone(&observer) as Arc<dyn Observer>);
    let acme = [tenant("acme")];
    let look_up = || async { short(Ok(cache.of_all(&acme).await.unwrap().remove(0))) };
    source.answer("acme", "v1");
    assert_eq!(look_up().await, "v1");

    // The wall clock does not stand still as the other one does: what is doubted is to be older than a test may be held up.
    let doubted = async |answer, after| {
        source.answer("acme", answer);
        sleep(Duration::from_millis(after)).await;
        cache.doubt(&acme[0], wall_clock()).await;
    };
    doubted("v2", 400).await;
    sleep(Duration::from_millis(1)).await;
    assert_eq!(look_up().await, "v2");

    // A second doubt within the second waits for it, and then for whoever looks up first.
    doubted("v3", 400).await;
    assert_eq!(look_up().await, "v2");
    sleep(Duration::from_millis(1_001)).await;
    assert_eq!((look_up().await.as_str(), source.times_asked()), ("v2", 2));
    sleep(Duration::from_millis(1)).await;
    assert_eq!((look_up().await.as_str(), source.times_asked()), ("v3", 3));

    doubted("bad", 1_001).await;
    sleep(Duration::from_millis(1)).await;
    assert_eq!(look_up().await, "v3");
    assert_eq!(observer.stale.load(Ordering::Relaxed), 1, "told as what the source did not confirm");
}

fn wall_clock() -> Timestamp {
    clock::now()
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_made_up_tenants_keeps_the_rate_and_does_not_starve_a_known_one() {
    let source = Scripted::new(Duration::from_millis(100));
    source.answer("acme", "v1");
    let cache = PreferencesCache::new(Arc::clone(&source), SETTINGS, Arc::new(Unobserved));
    let acme = tenant("acme");
    assert_eq!(short(cache.of(&acme).await), "v1");
    source.answer("acme", "v2");
    sleep(Duration::from_secs(TTL)).await;

    let made_up: Vec<TenantId> = (0..10_000).map(|n| tenant(&format!("made-up-{n}"))).collect();
    let start = Instant::now();
    let flood = cache.of_all(&made_up);
    let visit = async {
        sleep(Duration::from_secs(5)).await;
        (short(cache.of(&acme).await), start.elapsed())
    };
    let (flooded, (told, after)) = tokio::join!(flood, visit);
    assert!(flooded.unwrap().iter().all(|lookup| *lookup == Lookup::NoTenant));
    assert_eq!((told.as_str(), after), ("v2", Duration::from_millis(5_100)));

    let asked = lock(&source.asked);
    let flood: Vec<u128> = asked
        .iter()
        .filter(|(tenant, _)| *tenant != acme)
        .map(|(_, at)| at.duration_since(start).as_millis())
        .collect();
    assert_eq!(flood.len(), 10_000);
    for (nth, at) in flood.iter().enumerate() {
        // Fifty at once, then fifty a second.
        assert!(*at >= 20 * (nth as u128).saturating_sub(50), "look-up {nth} after {at} ms");
    }
    assert!(flood[9_999] < 200_000, "the flood passes at its rate: {} ms", flood[9_999]);
}

#[tokio::test(start_paused = true)]
async fn a_reading_that_breaks_off_is_a_failure_and_not_a_hang() {
    play(&[(0, "panic", "held: the reading was broken off", 1), (11, "v1", "v1", 2)]).await;
}

#[tokio::test(start_paused = true)]
async fn dropping_the_cache_ends_its_readings() {
    let source = Scripted::new(Duration::from_secs(1_000));
    let cache = PreferencesCache::new(Arc::clone(&source), SETTINGS, Arc::new(Unobserved));
    let acme = tenant("acme");
    let look_up = tokio::time::timeout(Duration::from_secs(1), cache.of(&acme)).await;
    assert!(look_up.is_err());
    assert_eq!(Arc::strong_count(&source), 2);
    drop(cache);
    sleep(Duration::from_millis(1)).await;
    assert_eq!(Arc::strong_count(&source), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_remembered_can_be_looked_at() {
    let source = Scripted::new(Duration::ZERO);
    let observer = Arc::new(Counts::default());
    let cache = PreferencesCache::new(Arc::clone(&source), SETTINGS, Arc::clone(&observer) as Arc<dyn Observer>);
    assert_eq!((cache.oldest_age(), cache.snapshot(9)), (None, Vec::new()));
    for (name, answer) in [("a", "v1"), ("b", "404"), ("c", "bad"), ("d", "away"), ("e", "v5")] {
        source.answer(name, answer);
        let _told = cache.of(&tenant(name)).await;
        sleep(Duration::from_secs(1)).await;
    }
    let row = |name, seconds, version: Option<&str>, state| Remembered {
        tenant: tenant(name),
        age: Duration::from_secs(seconds),
        updated_at: version.map(str::to_owned),
        state,
    };
    let want = [
        row("a", 5, Some("v1"), "known"),
        row("b", 4, None, "no_tenant"),
        row("c", 3, None, "unusable"),
        row("d", 2, None, "unavailable"),
        row("e", 1, Some("v5"), "known"),
    ];
    assert_eq!(cache.snapshot(9), want);
    assert_eq!(cache.snapshot(2), want[..2]);
    assert_eq!(cache.oldest_age(), Some(Duration::from_secs(5)));

    source.answer("a", "away");
    sleep(Duration::from_secs(60)).await;
    assert_eq!(cache.oldest_age(), None, "copies that nobody wants may grow old");
    assert_eq!(cache.snapshot(1)[0].state, "expired");
    assert_eq!(short(cache.of(&tenant("a")).await), "v1");
    assert_eq!(cache.snapshot(1), [row("a", 65, Some("v1"), "stale")]);
    assert_eq!(cache.oldest_age(), Some(Duration::from_secs(65)));
    assert_eq!(short(cache.of(&tenant("a")).await), "v1");

    assert_eq!(observer.hits.load(Ordering::Relaxed), 1);
    assert_eq!(observer.misses.load(Ordering::Relaxed), 6);
    assert_eq!(observer.stale.load(Ordering::Relaxed), 2);
    assert_eq!(*lock(&observer.refreshes), ["document", "not_found", "unreadable", "away", "document", "away"]);
}

#[tokio::test(start_paused = true)]
async fn a_source_at_hand_shows_changes_within_a_second_and_is_not_rationed() {
    let tenants: Vec<TenantId> = (0..1_000).map(|n| tenant(&format!("t{n}"))).collect();
    let source = Arc::new(FixedPreferences::new(
        tenants.iter().map(|tenant| (tenant.clone(), version("v1"))).collect::<Vec<_>>(),
    ));
    let cache = PreferencesCache::new(Arc::clone(&source), SETTINGS, Arc::new(Unobserved));
    let start = Instant::now();
    cache.of_all(&tenants).await.unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);
    for (change, want) in [(Some(version("v2")), "v2"), (None, "none"), (Some(version("v3")), "v3")] {
        source.set(&tenants[7], change);
        sleep(Duration::from_secs(1)).await;
        assert_eq!(short(cache.of(&tenants[7]).await), want);
    }
}

#[tokio::test(start_paused = true)]
async fn the_log_tells_each_change_once() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .without_time()
        .with_target(false)
        .with_writer(move || writer.clone())
        .finish();
    let _logging = tracing::subscriber::set_default(subscriber);

    let source = Scripted::new(Duration::ZERO);
    let cache = PreferencesCache::new(Arc::clone(&source), SETTINGS, Arc::new(Unobserved));
    for (answer, minutes) in [("v1", 2), ("bad", 5), ("v2", 1), ("away", 5), ("v3", 1), ("own 401", 5), ("v4", 2)] {
        for name in ["acme", "other"] {
            source.answer(name, if name == "acme" || answer == "away" { answer } else { "v1" });
        }
        for _ in 0..minutes {
            sleep(Duration::from_secs(2 * TTL)).await;
            cache.of_all(&[tenant("acme"), tenant("other")]).await.unwrap();
        }
    }
    let text = String::from_utf8(lock(&log.0).clone()).unwrap();
    let lines: Vec<&str> = text.lines().map(|line| line.trim_start().split_once(' ').unwrap().1).collect();
    let want = [
        r#"the tenant's preferences are unreadable tenant="acme" reason="bad""#,
        r#"the tenant's preferences are no longer unreadable or refused tenant="acme""#,
        r#"preferences cannot be read; copies are served while they last reason="away""#,
        "preferences can be read again",
        r#"the tenant's own credential is refused: replace it tenant="acme" reason="own 401""#,
        r#"the tenant's preferences are no longer unreadable or refused tenant="acme""#,
    ];
    assert_eq!(lines, want);
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        lock(&self.0).extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
