//! Processes that die, stop, join, leave and stand still.

use stepup::failpoint::Step;

use crate::fleet::PATIENCE;
use crate::report::Figures;
use crate::runner::Readiness::{NeedsFailpoints, Ready};
use crate::runner::{Case, Trial};
use crate::services::wait_for;
use crate::world::{Load, Setup, World};

pub const CASES: &[Case] = &[
    Case {
        name: "killed_between_any_two_steps",
        breaks: "each role dies at every step of its walk, one after the other: record, claim, send, commit, call, fix, publish, park",
        readiness: NeedsFailpoints,
        run: killed_between_any_two_steps,
    },
    Case {
        name: "killed_and_stopped_at_random",
        breaks: "SIGKILL and SIGTERM of one process after the other, two of each role",
        readiness: Ready,
        run: killed_and_stopped_at_random,
    },
    Case {
        name: "replicas_come_and_go",
        breaks: "a second and a third replica join and leave every few seconds: partitions move",
        readiness: Ready,
        run: replicas_come_and_go,
    },
    Case {
        name: "stalled_and_come_back",
        breaks: "a process stands still (SIGSTOP) until its partitions are elsewhere, and goes on with what it had at hand",
        readiness: Ready,
        run: stalled_and_come_back,
    },
];

/// Some commands must be parked for that step to be passed.
const SOMETIMES_BUSY: &str = r#"[{"kind":"status","status":503,"retry_after":1,"rate":0.1}]"#;

fn killed_between_any_two_steps(trial: &Trial<'_>) -> Figures {
    let mut world = World::new(trial, Setup { batch: 25, ..Setup::default() });
    world.api_faults(SOMETIMES_BUSY);
    let role = |role: &str| Step::ALL.into_iter().filter(|step| step.name().starts_with(role)).collect::<Vec<_>>();
    let mut chains = [("evaluate", role("evaluate.").into_iter()), ("dispatch", role("dispatch.").into_iter())].map(
        |(roles, steps)| {
            let member = world.member(roles);
            (member, steps.peekable(), false)
        },
    );
    let arm = |world: &mut World, member: usize, step: Option<Step>| {
        let failpoint = step.map(|step| format!("{}:{}", step.name(), 1 + world.one_of(4)));
        let env: Vec<_> = failpoint.iter().map(|failpoint| ("STEPUP_FAILPOINT", failpoint.as_str())).collect();
        world.fleet[member].start(&env);
    };
    for (member, steps, _) in &chains {
        arm(&mut world, *member, steps.clone().peek().copied());
    }
    world.load(Load::of(2_000, 250));
    wait_for(PATIENCE * 2, "every step has been died at", || {
        if !world.is_loaded() {
            world.load(Load::of(500, 250));
        }
        for (member, steps, done) in &mut chains {
            if !*done && world.fleet[*member].has_aborted() {
                world.fault();
                steps.next();
                *done = steps.peek().is_none();
                arm(&mut world, *member, steps.peek().copied());
            }
        }
        let left: Vec<_> = chains.iter_mut().filter_map(|(_, steps, _)| steps.peek().copied()).collect();
        if left.is_empty() { Ok(()) } else { Err(format!("nobody has died at {left:?}")) }
    });
    world.api_faults("[]");
    world.finish()
}

fn killed_and_stopped_at_random(trial: &Trial<'_>) -> Figures {
    let mut world = World::new(trial, Setup::default());
    for roles in ["evaluate", "dispatch", "evaluate,dispatch"] {
        world.start_early(roles);
    }
    world.load(Load::of(4_000, 250));
    world.until_it_flows();
    for _ in 0..8 {
        world.pause(300..1_500);
        let member = world.one_of(3);
        if world.one_of(2) == 0 {
            world.fleet[member].kill();
        } else {
            world.fleet[member].stop();
        }
        world.fault();
        world.pause(100..1_000);
        world.fleet[member].start(&[]);
    }
    world.finish()
}

fn replicas_come_and_go(trial: &Trial<'_>) -> Figures {
    let mut world = World::new(trial, Setup { partitions: 6, ..Setup::default() });
    let stays = world.start("evaluate,dispatch");
    let come_and_go = [world.member("evaluate,dispatch"), world.member("evaluate,dispatch")];
    world.load(Load::of(5_000, 250));
    world.until_it_flows();
    for round in 0..6 {
        let member = come_and_go[round % 2];
        if world.fleet[member].runs() {
            world.fleet[member].stop();
        } else {
            world.fleet[member].start(&[]);
            wait_for(PATIENCE, "it has a part of the partitions", || has_partitions(&world, member, 1));
        }
        world.fault();
        world.pause(200..2_000);
    }
    wait_for(PATIENCE, "the one that stays has its part", || has_partitions(&world, stays, 1));
    world.finish()
}

fn stalled_and_come_back(trial: &Trial<'_>) -> Figures {
    let mut world = World::new(trial, Setup::default());
    let (evaluate, dispatch) = (world.start("evaluate"), world.start("dispatch"));
    let others = [world.start("evaluate"), world.start("dispatch")];
    world.load(Load::of(5_000, 250));
    world.until_it_flows();
    for (stalled, other, partitions) in [(evaluate, others[0], 4), (dispatch, others[1], 8), (evaluate, others[0], 4)] {
        world.fleet[stalled].freeze();
        world.fault();
        wait_for(PATIENCE, "the other one has all partitions", || has_partitions(&world, other, partitions));
        world.pause(0..1_000);
        world.fleet[stalled].thaw();
        wait_for(PATIENCE, "it is back in its group", || has_partitions(&world, stalled, 1));
    }
    world.finish()
}

fn has_partitions(world: &World, member: usize, least: u32) -> Result<(), String> {
    match world.fleet[member].metric("stepup_assigned_partitions", &[]) {
        Some(assigned) if assigned >= f64::from(least) => Ok(()),
        assigned => Err(format!("{assigned:?} of {least}")),
    }
}
