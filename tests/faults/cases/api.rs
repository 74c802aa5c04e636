//! What the verification service does: to whom sessions are asked of, and whose preferences are read.

use rand::seq::SliceRandom as _;

use crate::fleet::PATIENCE;
use crate::report::Figures;
use crate::runner::Readiness::Ready;
use crate::runner::{Case, Trial};
use crate::services::wait_for;
use crate::world::{Load, Setup, World};

pub const CASES: &[Case] = &[
    Case {
        name: "session_api_misbehaves",
        breaks: "slow, hanging, 429 with Retry-After, 5xx storms, refused credentials, nonsense, cut before and after the session was made",
        readiness: Ready,
        run: misbehaves,
    },
    Case {
        name: "preferences_away_at_cold_start",
        breaks: "the preferences service is down when the first events come, then slow, sending nonsense, failing for one tenant",
        readiness: Ready,
        run: away_at_cold_start,
    },
];

fn misbehaves(trial: &Trial<'_>) -> Figures {
    let mut faults = [
        r#"[{"kind":"delay","delay_ms":400,"rate":0.7},{"kind":"delay","delay_ms":700,"rate":0.3}]"#,
        r#"[{"kind":"hang","rate":0.3}]"#,
        r#"[{"kind":"hang","rate":0.2,"carried_out":true}]"#,
        r#"[{"kind":"status","status":429,"retry_after":2,"rate":0.5}]"#,
        r#"[{"kind":"status","status":503}]"#,
        r#"[{"kind":"status","status":504,"carried_out":true,"rate":0.4},{"kind":"status","status":500,"rate":0.3}]"#,
        r#"[{"kind":"cut_after","rate":0.4},{"kind":"cut_before","rate":0.3}]"#,
        r#"[{"kind":"garbage","rate":0.3},{"kind":"garbage","rate":0.2,"carried_out":true}]"#,
        r#"[{"kind":"status","status":403,"tenant":"tenant-0"},{"kind":"status","status":401,"tenant":"tenant-1","rate":0.5}]"#,
    ];
    let mut world = World::new(trial, Setup::default());
    faults.shuffle(&mut world.chance);
    world.start("evaluate");
    world.start("dispatch");
    world.start("dispatch");
    world.load(Load::of(5_000, 250));
    world.until_it_flows();
    for fault in faults {
        world.api_faults(fault);
        world.pause(800..2_500);
    }
    world.api_faults("[]");
    world.finish()
}

fn away_at_cold_start(trial: &Trial<'_>) -> Figures {
    let preferences = "ttl: 500ms, timeout: 500ms, max_stale: 1s, refused_for: 10m";
    let mut world = World::new(trial, Setup { preferences, ..Setup::default() });
    world.api_faults(r#"[{"kind":"status","status":503,"on":"preferences"}]"#);
    world.start_early("evaluate");
    world.start_early("evaluate,dispatch");
    world.load(Load::of(4_000, 250));
    wait_for(PATIENCE, "the lag is told though nothing was ever finished", || match world.lag() {
        lag if lag > 300 => Ok(()),
        lag => Err(format!("{lag}")),
    });
    for fault in [
        r#"[{"kind":"delay","delay_ms":300,"on":"preferences"}]"#,
        r#"[{"kind":"hang","on":"preferences","rate":0.8}]"#,
        r#"[{"kind":"garbage","on":"preferences"}]"#,
        r#"[{"kind":"cut_after","on":"preferences","tenant":"tenant-1"},{"kind":"delay","delay_ms":100,"on":"preferences"}]"#,
        r#"[{"kind":"status","status":403,"on":"preferences","tenant":"tenant-0"}]"#,
        r#"[{"kind":"status","status":500,"on":"preferences","rate":0.9}]"#,
    ] {
        world.api_faults(fault);
        world.pause(1_000..3_000);
    }
    world.api_faults("[]");
    world.finish()
}
