//! An API server that pushes back is given the time that it asks for, and not much more.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::{
    common::ControlPlane,
    proxy::{Faults, Proxy},
    raw::{self, As, wait},
    replica::{Replica, condition, kubeconfig},
    stage::{Namespace, beside_others, health, install, server},
};

#[test]
fn retry_after_is_honoured_by_all_and_work_goes_on_soon_after() {
    let _others = beside_others();
    let ns = Namespace::meadow("pushback");
    install(&ns.0);
    let proxy = Proxy::start(&kubeconfig(&ControlPlane::get().scratch(), &ns.0));
    let doctor = Replica::start_by(&proxy.kubeconfig(&ns.0), &[&format!("--namespace={}", ns.0)]);
    doctor.until_ready();
    doctor.until_logged("leading");
    let names: Vec<String> = (0..300).map(|index| format!("ram-{index}")).collect();
    let undiagnosed = |verdict: &str| {
        let servers = wait(raw::list(&ns.0, "backendservers"));
        servers
            .iter()
            .filter(|server| {
                server["metadata"]["name"]
                    .as_str()
                    .is_some_and(|name| name.starts_with("ram-"))
            })
            .filter(|server| condition(server, "Diagnosed") != verdict)
            .count()
    };
    wait(raw::each(&names, |name| {
        let text = server(name, &json!({}));
        async move { raw::create(&As::Admin, "pushback", "backendservers", text).await }
    }));
    crate::replica::eventually("the first look", || match undiagnosed("False/BackendNotUnhealthy") {
        0 => Ok(()),
        left => Err(left.to_string()),
    });

    proxy.set(Faults {
        refuse_writes: Some(10),
        ..Faults::default()
    });
    wait(raw::each(&names, |name| async move {
        raw::patch_status(&As::Admin, "pushback", "backendservers", name, health("Unhealthy")).await
    }));
    std::thread::sleep(Duration::from_secs(8));
    let refused = proxy.refused();
    assert!(refused > 0, "nothing was tried");
    // Each worker of each kind may have had a write under way when the first was refused.
    assert!(refused <= 60, "{refused} attempts while it was asked to wait");
    proxy.set(Faults::default());
    let began = Instant::now();
    loop {
        let left = undiagnosed("True/NoFaultFound");
        if left == 0 {
            break;
        }
        // The ten seconds last asked for, and a few.
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "{left} of 300 wait, 20 s after it took writes again"
        );
        std::thread::sleep(Duration::from_millis(200));
    }
}
