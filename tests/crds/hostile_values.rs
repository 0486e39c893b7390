//! What the API server admits into a status, our types can hold: else one value written by anyone with the right to report would make its
//! object unreadable.

use elb_doctor::api::v1alpha1::{ApiObject, Kind, KindVisitor};
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::{api, client, said, valid};

const TIME: &str = "2026-01-31T12:00:00Z";

fn conditions() -> Value {
    json!([{"type": "Ready", "status": "True", "reason": "R", "message": "m", "observedGeneration": 1, "lastTransitionTime": TIME}])
}

fn checks() -> Value {
    json!([{
        "id": "i", "category": "c", "item": "i", "severity": "s", "reason": "r", "suggestion": "s", "impact": "Blocks",
        "blocked": {"values": ["1"], "omitted": 1, "share": "1"},
        "witness": {"protocol": "tcp", "sourcePort": 1, "destinationPort": 1},
        "decidedBy": {"kind": "SecurityGroup", "name": "n", "rule": "r", "index": 1, "priority": 1, "action": "Deny"},
    }])
}

/// A status of the kind with a value in every field that holds a number or a time.
fn status(kind: Kind) -> Option<Value> {
    let mut status = match kind {
        Kind::BackendServer => json!({
            "health": {"state": "Unhealthy", "reportedAt": TIME},
            "diagnosis": {
                "healthCheck": {"protocol": "TCP", "port": 1, "sources": [], "omittedSources": 1, "destination": "10.0.0.1"},
                "checked": 1, "failed": 1, "impact": "Blocks", "droppedShare": "1", "checks": checks(),
            },
        }),
        Kind::LoadBalancer => {
            json!({"backends": {"total": 1, "healthy": 1, "unhealthy": 1, "unknown": 1, "faulty": 1}})
        }
        Kind::SecurityGroup | Kind::NetworkACL => json!({}),
        Kind::TroubleshootRequest => json!({
            "startTime": TIME, "completionTime": TIME, "progress": {"finished": 1, "total": 1}, "omittedResults": 1,
            "results": [{"backendServer": "b", "outcome": "FaultsFound", "reason": "r", "failed": 1, "checks": checks()}],
        }),
        Kind::Subnet | Kind::AddressGroup => return None,
    };
    status["observedGeneration"] = json!(1);
    status["conditions"] = conditions();
    Some(status)
}

/// The fields below this value that hold a number or a time, as JSON pointers.
fn fields(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => map
            .iter()
            .for_each(|(key, value)| fields(value, &format!("{path}/{key}"), found)),
        Value::Array(list) => list
            .iter()
            .enumerate()
            .for_each(|(at, value)| fields(value, &format!("{path}/{at}"), found)),
        Value::Number(_) => found.push(path.to_owned()),
        Value::String(text) if text == TIME => found.push(path.to_owned()),
        _ => {}
    }
}

fn hostile(value: &Value) -> Vec<Value> {
    if value.is_number() {
        let edges = [
            0_u64,
            1,
            255,
            256,
            65_535,
            65_536,
            4_294_967_295,
            4_294_967_296,
            9_007_199_254_740_991,
            9_007_199_254_740_993,
        ];
        let mut out: Vec<Value> = edges.into_iter().map(Value::from).collect();
        out.extend([
            json!(i64::MAX),
            json!(u64::MAX),
            json!(-1),
            json!(i64::MIN),
            json!(1e20),
            json!(1.5),
            json!(2.0),
        ]);
        return out;
    }
    let times = [
        "9999-12-31T23:59:59-12:00",
        "9999-12-31T23:59:59Z",
        "8999-12-31T23:59:59.999999999-19:59",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "2026-01-31T12:00:00.1234567890Z",
        "2026-01-31T12:00:00.123456789Z",
        "2026-01-31T12:00:00+99:99",
        "2026-01-31T12:00:00+24:00",
        "2026-02-30T12:00:00Z",
        "2026-01-31T24:00:00Z",
        "2026-01-31T12:00:60Z",
        "2026-01-31T12:00:00",
        "2026-01-31t12:00:00z",
        "2026-01-31 12:00:00Z",
        "-0001-01-01T00:00:00Z",
        "+12026-01-01T00:00:00Z",
        "",
    ];
    times.into_iter().map(Value::from).collect()
}

struct CanHold(Value);

impl KindVisitor for CanHold {
    type Output = Result<(), String>;

    fn visit<K: ApiObject>(self) -> Self::Output {
        serde_json::from_value::<K>(self.0)
            .map(drop)
            .map_err(|error| error.to_string())
    }
}

#[tokio::test]
async fn what_is_admitted_into_a_status_can_be_held() {
    let client = client().await;
    let dry_run = PatchParams {
        dry_run: true,
        ..PatchParams::default()
    };
    let (mut admitted, mut refused) = (0, 0);
    for kind in Kind::ALL {
        let Some(status) = status(*kind) else { continue };
        let objects = api(&client, kind.name());
        let mut object = valid(kind.name());
        object["metadata"]["name"] = json!("hostile-values");
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        objects.create(&PostParams::default(), &object).await.unwrap();
        let mut paths = Vec::new();
        fields(&status, "", &mut paths);
        assert!(paths.len() >= 3, "{kind}: {paths:?}");
        for path in paths {
            for value in hostile(status.pointer(&path).unwrap()) {
                let mut status = status.clone();
                *status.pointer_mut(&path).unwrap() = value.clone();
                let patch = Patch::Merge(json!({"status": status}));
                match objects.patch_status("hostile-values", &dry_run, &patch).await {
                    Ok(answer) => {
                        admitted += 1;
                        let answer = serde_json::to_value(answer).unwrap();
                        let held = kind.visit(CanHold(answer));
                        assert!(held.is_ok(), "{kind}{path} = {value} is admitted: {held:?}");
                    }
                    Err(error) => {
                        refused += 1;
                        // One clear message that names the field.
                        let field = path.rsplit('/').next().unwrap();
                        assert!(said(&error).contains(field), "{kind}{path} = {value}: {}", said(&error));
                    }
                }
            }
        }
    }
    assert!(admitted > 50 && refused > 300, "{admitted} admitted, {refused} refused");
}
