//! Reads one object from its JSON. What nobody reads is not parsed: of the metadata a few fields, never the managed fields; the spec
//! strictly; a part of a status that cannot be read is as good as absent, and the other parts stay.

use serde::{Deserialize, Serialize};

use super::wire;
use crate::{
    api::v1alpha1::{API_VERSION, ApiObject, Kind, KindVisitor, Object, ReadAnnotations},
    world::{Incoming, Key, Unreadable},
};

/// What is read of an object's metadata.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Head {
    /// Its name.
    pub(super) name: String,
    /// Its namespace.
    pub(super) namespace: String,
    /// Its uid.
    pub(super) uid: String,
    /// Its resource version.
    pub(super) resource_version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deletion_timestamp: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<ReadAnnotations>,
}

impl Head {
    /// Its namespace and name.
    pub(super) fn key(&self) -> Key {
        Key::new(self.namespace.as_str(), self.name.as_str())
    }

    /// Its resource version as a number.
    pub(super) fn version(&self) -> Option<u64> {
        self.resource_version.parse().ok()
    }
}

/// The JSON of the parts of an object.
#[derive(Clone, Copy, Debug, Default)]
struct Parts<'a> {
    metadata: &'a [u8],
    spec: Option<&'a [u8]>,
    status: Option<&'a [u8]>,
}

impl<'a> Parts<'a> {
    fn of(json: &'a [u8]) -> Self {
        let mut out = Self::default();
        for (key, value) in wire::fields(json) {
            match key {
                b"metadata" => out.metadata = value,
                b"spec" => out.spec = Some(value),
                b"status" => out.status = Some(value),
                _ => {}
            }
        }
        out
    }

    fn with_status<'b>(self, status: Option<&'b [u8]>) -> Parts<'b>
    where
        'a: 'b,
    {
        Parts { status, ..self }
    }

    fn parse<K: ApiObject>(self, head: &Head) -> Result<K, serde_json::Error> {
        serde_json::from_slice(&self.lean(K::KIND, head)?)
    }

    /// The object without what nobody reads.
    fn lean(self, kind: Kind, head: &Head) -> Result<Vec<u8>, serde_json::Error> {
        let mut lean = format!(r#"{{"apiVersion":"{API_VERSION}","kind":"{kind}","metadata":"#).into_bytes();
        serde_json::to_writer(&mut lean, head)?;
        for (name, part) in [("spec", self.spec), ("status", self.status)] {
            if let Some(part) = part {
                lean.extend_from_slice(format!(r#","{name}":"#).as_bytes());
                lean.extend_from_slice(part);
            }
        }
        lean.push(b'}');
        Ok(lean)
    }
}

/// The name and version of an object. `None`: it has none, so that there is nothing to speak of.
pub(super) fn head(json: &[u8]) -> Option<Head> {
    let head: Head = serde_json::from_slice(Parts::of(json).metadata).ok()?;
    (!head.name.is_empty()).then_some(head)
}

/// The status with only those of its parts that can be read alone: one wrong part takes no other along, least of all the
/// reported health.
fn readable(status: &[u8], can_be_read: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut kept = Vec::new();
    for (name, value) in wire::fields(status) {
        let part = [b"\"", name, b"\":", value].concat();
        if can_be_read(&[b"{", part.as_slice(), b"}"].concat()) {
            kept.push(part);
        }
    }
    [b"{".as_slice(), &kept.join(b",".as_slice()), b"}"].concat()
}

/// Reads an object of that kind.
pub(super) fn read(kind: Kind, json: &[u8]) -> Option<Incoming> {
    struct Read<'a>(&'a Head, Parts<'a>);
    impl KindVisitor for Read<'_> {
        type Output = Result<Object, serde_json::Error>;

        fn visit<K: ApiObject>(self) -> Self::Output {
            let Self(head, parts) = self;
            parts
                .parse::<K>(head)
                .or_else(|_| {
                    let kept = readable(parts.status.unwrap_or_default(), |part| {
                        parts.with_status(Some(part)).parse::<K>(head).is_ok()
                    });
                    parts.with_status(Some(&kept)).parse(head)
                })
                .or_else(|_| parts.with_status(None).parse(head))
                .map(Into::into)
        }
    }
    let head = head(json)?;
    Some(match kind.visit(Read(&head, Parts::of(json))) {
        Ok(object) => Incoming::from(object),
        Err(error) => Incoming::from(Unreadable {
            kind,
            key: head.key(),
            version: head.version(),
            uid: Some(head.uid),
            why: error.to_string().into(),
        }),
    })
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        api::v1alpha1::{ACCEPT_ANNOTATION, BackendServer, HealthState},
        world::{RefusalReason, Settings, World},
    };

    #[test]
    fn of_the_annotations_only_the_one_that_is_read_is_kept() {
        let kept = |annotations: Value| {
            let json = json!({"metadata": {"name": "a", "namespace": "meadow", "annotations": annotations}, "spec": {"cidrs": []}});
            let Some(Incoming::Readable { object, .. }) = read(Kind::Subnet, json.to_string().as_bytes()) else {
                panic!("{annotations} is not read")
            };
            object.meta().annotations.clone().unwrap_or_default()
        };
        let accept = json!({ACCEPT_ANNOTATION: "x", "shepherd": "tom"});
        assert_eq!(
            kept(accept).into_iter().collect::<Vec<_>>(),
            [(ACCEPT_ANNOTATION.into(), "x".into())]
        );
        for none in [json!(null), json!({}), json!({"shepherd": "tom"})] {
            assert!(kept(none).is_empty());
        }
    }

    fn backend(status: &Value) -> Option<BackendServer> {
        let json = json!({
            "metadata": {
                "name": "ewe", "namespace": "meadow", "uid": "1", "resourceVersion": "1",
                "managedFields": [{ "time": "9999-12-31T23:59:59-12:00" }]
            },
            "spec": {
                "loadBalancerRef": { "name": "gate" }, "backendServerGroup": "sheep",
                "type": "IP", "address": "10.0.0.1", "port": 80
            },
            "status": status,
        });
        match read(Kind::BackendServer, json.to_string().as_bytes())? {
            Incoming::Readable {
                object: Object::BackendServer(backend),
                ..
            } => Some((*backend).clone()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_reported_health_outlives_every_other_part_that_cannot_be_read() {
        let health = json!({ "state": "Unhealthy", "reportedAt": "9999-12-31T23:59:59-12:00" });
        let late = json!([{
            "type": "Ready", "status": "True", "reason": "R", "message": "m",
            "lastTransitionTime": "9999-12-31T23:59:59-12:00"
        }]);
        for status in [
            json!({ "health": health, "diagnosis": { "failed": 5_000_000_000_u64 }, "observedGeneration": 7 }),
            json!({ "conditions": late, "observedGeneration": 7, "health": health }),
            json!({ "diagnosis": "none", "health": health, "conditions": 3, "observedGeneration": 7 }),
        ] {
            let read = backend(&status).unwrap().status.unwrap();
            assert_eq!(read.health.unwrap().state, HealthState::Unhealthy, "{status}");
            assert_eq!(read.observed_generation, Some(7), "{status}");
            assert!(read.diagnosis.is_none() && read.conditions.is_empty(), "{status}");
        }
    }

    #[test]
    fn a_health_that_cannot_be_read_or_a_status_that_is_no_object_is_absent() {
        for status in [
            json!({ "health": { "state": "Sick" } }),
            json!("well"),
            json!([1]),
            json!(null),
        ] {
            let health = backend(&status).unwrap().status.and_then(|status| status.health);
            assert!(health.is_none(), "{status}");
        }
    }

    type Damage = fn(&mut Value);

    /// A backend server that is diagnosed with all that this reads, each object with a name of its own.
    fn stage() -> Vec<Value> {
        let object = |kind: &str, name: &str, spec: Value| json!({"apiVersion": API_VERSION, "kind": kind, "metadata": {"namespace": "meadow", "name": name}, "spec": spec});
        let rule = json!({"name": "in", "direction": "Ingress", "remote": {"addressGroupRef": {"name": "dogs"}}});
        let acl = |subnet: &str| json!({"subnetRefs": [{"name": subnet}], "ingress": [{"name": "r", "action": "Allow", "source": {"addressGroupRef": {"name": "cats"}}}]});
        let mut ewe = object(
            "BackendServer",
            "ewe",
            json!({"loadBalancerRef": {"name": "gate"}, "backendServerGroup": "sheep", "address": "10.2.0.1", "port": 80,
                "subnetRef": {"name": "vale"}, "securityGroupRefs": [{"name": "fence"}]}),
        );
        ewe["status"] = json!({"health": {"state": "Unhealthy"}});
        vec![
            ewe,
            object(
                "LoadBalancer",
                "gate",
                json!({"type": "Dedicated", "backendSubnetRefs": [{"name": "hill"}],
                    "listeners": [{"name": "l", "protocol": "TCP", "port": 80, "backendServerGroups": ["sheep"]}],
                    "backendServerGroups": [{"name": "sheep", "protocol": "TCP", "healthCheck": {"protocol": "TCP"}}]}),
            ),
            object("Subnet", "hill", json!({"cidrs": ["10.1.0.0/24"]})),
            object("Subnet", "vale", json!({"cidrs": ["10.2.0.0/24"]})),
            object("Subnet", "moor", json!({"cidrs": ["10.3.0.0/24"]})),
            object("SecurityGroup", "fence", json!({"rules": [rule]})),
            object("SecurityGroup", "wall", json!({"rules": []})),
            object("AddressGroup", "dogs", json!({"addresses": ["10.1.0.0/24"]})),
            object("AddressGroup", "cats", json!({"addresses": ["10.1.0.0/24"]})),
            object("AddressGroup", "rats", json!({"addresses": ["10.1.0.0/24"]})),
            object("NetworkACL", "hedge", acl("vale")),
            object("NetworkACL", "gatehouse", acl("hill")),
            object("NetworkACL", "ditch", acl("moor")),
        ]
    }

    /// Why the backend server is not diagnosed.
    fn refusal(objects: impl Iterator<Item = Incoming>) -> Option<RefusalReason> {
        let mut world = World::new(&Settings::default());
        for object in objects {
            world.set(object);
        }
        let collected = world.collect(&Key::new("meadow", "ewe"))?;
        collected.case.err().map(|refusal| refusal.reason)
    }

    /// As the controller reads them, and as the command line does.
    fn at_both_doors(objects: &[Value]) -> [Option<RefusalReason>; 2] {
        let watched = objects.iter().filter_map(|object| {
            let kind = Kind::from_name(object["kind"].as_str().unwrap()).unwrap();
            read(kind, object.to_string().as_bytes())
        });
        let text: Vec<_> = objects.iter().map(Value::to_string).collect();
        let loaded = crate::manifest::load_text("stage.yaml", &text.join("\n---\n"));
        [
            refusal(watched),
            refusal(loaded.objects.into_iter().map(|loaded| loaded.incoming)),
        ]
    }

    #[test]
    fn what_is_there_and_cannot_be_read_is_the_same_to_the_controller_and_the_command_line() {
        let unread = ["moor", "wall", "rats"];
        assert_eq!(at_both_doors(&stage()), [None, None]);
        let damages: [(&str, Damage); 4] = [
            ("no object", |object| object["spec"] = json!("none")),
            ("null", |object| object["spec"] = json!(null)),
            ("fields of another version", |object| {
                for value in object["spec"].as_object_mut().unwrap().values_mut() {
                    *value = json!({"later": 1});
                }
            }),
            ("a list of another version", |object| {
                for value in object["spec"].as_object_mut().unwrap().values_mut() {
                    if value.is_array() {
                        *value = json!([{"later": 1}]);
                    }
                }
            }),
        ];
        for at in 1..stage().len() {
            for (what, damage) in damages {
                let mut objects = stage();
                damage(&mut objects[at]);
                let name = objects[at]["metadata"]["name"].as_str().unwrap().to_owned();
                // A network ACL that cannot be read may be any subnet's.
                let expected = (!unread.contains(&&*name)).then_some(RefusalReason::InvalidSpec);
                assert_eq!(at_both_doors(&objects), [expected, expected], "{name}: {what}");
            }
            let mut objects = stage();
            let gone = objects.remove(at);
            let name = gone["metadata"]["name"].as_str().unwrap();
            let needed = !unread.contains(&name) && gone["kind"] != "NetworkACL";
            let expected = needed.then_some(RefusalReason::ReferenceNotFound);
            assert_eq!(at_both_doors(&objects), [expected, expected], "{name} is gone");
        }
    }

    #[test]
    fn a_status_that_cannot_be_read_is_the_same_at_both_doors() {
        let well = json!({"state": "Unhealthy", "reason": "ConnectTimeout"});
        let absent = Some(RefusalReason::BackendNotUnhealthy);
        for (status, expected) in [
            (json!({"health": well, "observedGeneration": "soon"}), None),
            (
                json!({"health": well, "conditions": 5, "diagnosis": {"failed": -1}}),
                None,
            ),
            (
                json!({"health": well, "conditions": [{"type": "Ready"}], "diagnosis": []}),
                None,
            ),
            (json!({"health": well, "colour": "red"}), None),
            (json!({"health": {"state": "Unhealthy", "reportedAt": "never"}}), None),
            (
                json!({"health": {"state": "Unhealthy", "reason": "CONNECT_TIMEOUT"}}),
                None,
            ),
            (json!({"health": {"state": "Sick"}}), absent),
            (json!({"health": {"state": "Unhealthy", "reason": 5}}), absent),
            (json!({"health": "Unhealthy"}), absent),
            (json!({"health": {"state": "Healthy"}, "conditions": 5}), absent),
            (json!("Unhealthy"), absent),
            (json!([1]), absent),
            (json!(null), absent),
        ] {
            let mut objects = stage();
            objects[0]["status"] = status.clone();
            assert_eq!(at_both_doors(&objects), [expected, expected], "{status}");
        }
    }

    #[test]
    fn a_wrong_value_is_the_same_at_both_doors() {
        let named = |name: &str| {
            let at = stage().iter().position(|object| object["metadata"]["name"] == name);
            at.unwrap()
        };
        for (name, pointer, value) in [
            ("vale", "/cidrs/0", json!("10.2.0.1/24")),
            ("hill", "/cidrs/0", json!("10.1.0.0/99")),
            ("hill", "/cidrs/0", json!("hill")),
            ("dogs", "/addresses/0", json!("10.1.0.9-10.1.0.1")),
            ("ewe", "/address", json!("10.2.0.300")),
            ("ewe", "/port", json!("http")),
            ("ewe", "/port", json!(70_000)),
            ("ewe", "/type", json!("Ghost")),
            ("gate", "/type", json!("dedicated")),
            ("gate", "/healthCheckSources", json!(["10.1.0.7/24"])),
            ("gate", "/listeners/0/protocol", json!("tcp")),
            ("fence", "/rules/0/direction", json!("ingress")),
            ("fence", "/rules/0/action", json!("DROP")),
            ("fence", "/rules/0/protocol", json!("TCP")),
            ("fence", "/rules/0/protocol", json!("300")),
            ("fence", "/rules/0/protocol", json!(6)),
            ("fence", "/rules/0/remote", json!({"cidr": "10.1.0.1/24"})),
            ("fence", "/rules/0/remote", json!({"cidr": "2001:db8::/32"})),
            ("hedge", "/ingress/0/action", json!("allow")),
            ("hedge", "/ingress/0/ipVersion", json!(4)),
            ("hedge", "/ingress/0/destinationPorts", json!("80:90")),
            ("hedge", "/ingress/0/destinationPorts", json!("90-80")),
            ("gatehouse", "/ingress/0/source", json!({"cidr": "10.1.0.1/24"})),
        ] {
            let mut objects = stage();
            let (parent, field) = pointer.rsplit_once('/').unwrap();
            let parent = objects[named(name)]["spec"].pointer_mut(parent).unwrap();
            match parent {
                Value::Array(items) => items[field.parse::<usize>().unwrap()] = value.clone(),
                other => other[field] = value.clone(),
            }
            let [watched, typed] = at_both_doors(&objects);
            // A backend server that cannot be read has no answer of its own in a cluster, where nobody can write into its status.
            let unreadable = watched.is_none() && name == "ewe";
            let expected = Some(RefusalReason::InvalidSpec);
            assert!(
                unreadable || watched == expected,
                "{name} {pointer} {value}: {watched:?} in the cluster"
            );
            assert!(
                typed == expected || unreadable && typed.is_none(),
                "{name} {pointer} {value}: {typed:?} of files"
            );
        }
    }
}
