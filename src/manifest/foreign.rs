//! What a text or a document is that is no manifest: named for what it is, with the way on.
//!
//! People hand in what they have: a template that nobody rendered, the answer of a cloud's API, what `kubectl describe` prints. To call
//! that "not YAML" helps nobody.

use std::collections::BTreeSet;

use super::node::{Node, Value};
use crate::{
    api::v1alpha1::{API_VERSION, Kind},
    text::excerpt,
};

/// How to go on with facts that stand in another form.
fn write_as(kind: Option<Kind>) -> String {
    let what = kind.map_or_else(
        || "what it says as objects".into(),
        |kind| format!("what it says as a {kind}"),
    );
    format!("write {what} of {API_VERSION} (elb-doctor crds prints every field)")
}

/// What a whole text is, if it is none that can be read and one can tell.
pub fn of_text(name: &str, text: &str) -> Option<String> {
    let mut lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty());
    let first = lines.next()?;
    let has = |label: &str| text.lines().any(|line| line.starts_with(label));
    if first.starts_with("Name:  ") && (has("Namespace:  ") || has("Labels:  ")) {
        return Some("this is what kubectl describe prints, which is for people: use kubectl get -o yaml".into());
    }
    if is_table_of_kubectl(first) {
        return Some("this is the table that kubectl get prints: add -o yaml".into());
    }
    if first.starts_with('+') && first.chars().all(|c| matches!(c, '+' | '-' | '=')) {
        return Some(format!(
            "this is a table for people, as openstack prints it: {}",
            write_as(None)
        ));
    }
    if first.starts_with("<!") || first.starts_with("<html") || first.starts_with("<?xml") {
        return Some("this is a web page or XML, not YAML or JSON: of a file on a web site, fetch the raw form".into());
    }
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    if matches!(ending, "tf" | "tfvars" | "hcl") || text.lines().any(is_terraform) {
        return Some(format!("this is Terraform's own language: {}", write_as(None)));
    }
    None
}

fn is_table_of_kubectl(first: &str) -> bool {
    let words: Vec<&str> = first.split_whitespace().collect();
    let head = matches!(words.as_slice(), ["NAME" | "NAMESPACE" | "LAST", ..]) && words.len() > 1;
    head && words
        .iter()
        .all(|word| word.chars().all(|c| !c.is_ascii_lowercase() && c != ':'))
}

/// Whether a line opens a block such as `resource "kind" "name" {`.
fn is_terraform(line: &str) -> bool {
    let Some(head) = line
        .strip_suffix('{')
        .filter(|head| !head.starts_with(char::is_whitespace))
    else {
        return false;
    };
    let mut words = head.split_whitespace();
    let keyword = words.next().unwrap_or_default();
    let block = matches!(
        keyword,
        "resource" | "data" | "module" | "provider" | "variable" | "output" | "terraform" | "locals"
    );
    block && words.all(|word| word.starts_with('"') && word.ends_with('"'))
}

/// What a template is that nobody rendered, if the text has marks of one. To be asked only of a text that cannot be read: they may
/// stand in any string. With the line of the first mark, from 0.
pub fn template(text: &str) -> Option<(u64, String)> {
    let (before, mark) = text.split_once("{{").or_else(|| text.split_once("{%"))?;
    let line = before.matches('\n').count() as u64;
    let mark = mark.lines().next().unwrap_or_default();
    let helm = [
        ".Values",
        ".Release",
        ".Chart",
        ".Capabilities",
        "include ",
        "template ",
        "define ",
    ];
    let is_helm = helm.iter().any(|word| text.contains(word)) || mark.starts_with('-') || mark.starts_with("/*");
    let what = if is_helm {
        "this is an unrendered Helm template: helm template CHART | elb-doctor diagnose -f -"
    } else {
        "this is a template that nobody rendered: pass what comes of it"
    };
    Some((line, what.into()))
}

/// What a document without kind is, if it is the answer of a program whose form one can tell.
pub fn of_node(node: &Node) -> Option<String> {
    let mut keys = BTreeSet::new();
    collect(node, 3, &mut keys);
    let has = |key: &str| keys.contains(key);
    if has("terraform_version") || (has("lineage") && has("serial")) {
        return Some(format!("this is a state or plan of Terraform: {}", write_as(None)));
    }
    if has("AWSTemplateFormatVersion") {
        return Some(format!("this is a CloudFormation template: {}", write_as(None)));
    }
    if node.get("API Version").is_some() && node.get("Kind").is_some() {
        return Some("this is what kubectl describe prints, which is for people: use kubectl get -o yaml".into());
    }
    let answer = ANSWERS
        .iter()
        .find(|answer| answer.marks.iter().any(|mark| has(mark)))?;
    let (found, kind) = answer.kinds.iter().find(|(key, _)| has(key))?;
    Some(format!(
        "this is an answer of {} ({found}): {}",
        answer.whose,
        write_as(Some(*kind))
    ))
}

/// What answers of a cloud's API look like.
struct Answer {
    whose: &'static str,
    /// Keys that hardly anything else has.
    marks: &'static [&'static str],
    /// Keys that tell what it is about, and our kind for that.
    kinds: &'static [(&'static str, Kind)],
}

const ANSWERS: &[Answer] = &[
    Answer {
        whose: "the Alibaba Cloud API",
        marks: &["RequestId"],
        kinds: &[
            ("SecurityGroups", Kind::SecurityGroup),
            ("Permissions", Kind::SecurityGroup),
            ("NetworkAcls", Kind::NetworkACL),
            ("VSwitches", Kind::Subnet),
            ("LoadBalancers", Kind::LoadBalancer),
            ("ServerGroups", Kind::LoadBalancer),
            ("BackendServers", Kind::BackendServer),
            ("Servers", Kind::BackendServer),
        ],
    },
    Answer {
        whose: "the AWS API",
        marks: &[
            "GroupId",
            "OwnerId",
            "VpcId",
            "NetworkAclId",
            "SubnetId",
            "TargetGroupArn",
            "LoadBalancerArn",
            "ListenerArn",
            "TargetHealth",
            "SecurityGroupRuleId",
            "PrefixListId",
            "InstanceStates",
            "DNSName",
        ],
        kinds: &[
            ("TargetHealthDescriptions", Kind::BackendServer),
            ("TargetHealth", Kind::BackendServer),
            ("InstanceStates", Kind::BackendServer),
            ("NetworkAcls", Kind::NetworkACL),
            ("NetworkAclId", Kind::NetworkACL),
            ("SecurityGroups", Kind::SecurityGroup),
            ("SecurityGroupRules", Kind::SecurityGroup),
            ("IpPermissions", Kind::SecurityGroup),
            ("TargetGroups", Kind::LoadBalancer),
            ("LoadBalancers", Kind::LoadBalancer),
            ("LoadBalancerDescriptions", Kind::LoadBalancer),
            ("Listeners", Kind::LoadBalancer),
            ("TargetGroupArn", Kind::LoadBalancer),
            ("LoadBalancerArn", Kind::LoadBalancer),
            ("Subnets", Kind::Subnet),
            ("SubnetId", Kind::Subnet),
            ("PrefixLists", Kind::AddressGroup),
            ("ManagedPrefixLists", Kind::AddressGroup),
            ("Reservations", Kind::BackendServer),
            ("NetworkInterfaces", Kind::BackendServer),
        ],
    },
    Answer {
        whose: "the Huawei Cloud API",
        marks: &[
            "request_id",
            "vpc_id",
            "enterprise_project_id",
            "elb_virsubnet_ids",
            "l4_flavor_id",
            "remote_address_group_id",
        ],
        kinds: CLOUD,
    },
    Answer {
        whose: "the OpenStack API",
        marks: &[
            "project_id",
            "tenant_id",
            "Project",
            "provisioning_status",
            "operating_status",
            "remote_group_id",
            "security_group_id",
            "IP Protocol",
            "IP Range",
        ],
        kinds: CLOUD,
    },
    Answer {
        whose: "the Azure API",
        marks: &["provisioningState", "resourceGroup", "resourceGuid"],
        kinds: &[
            ("securityRules", Kind::SecurityGroup),
            ("backendAddressPools", Kind::LoadBalancer),
            ("subnets", Kind::Subnet),
            ("addressPrefix", Kind::Subnet),
        ],
    },
];

/// What Huawei Cloud and `OpenStack` call the same.
const CLOUD: &[(&str, Kind)] = &[
    ("members", Kind::BackendServer),
    ("member", Kind::BackendServer),
    ("protocol_port", Kind::BackendServer),
    ("security_groups", Kind::SecurityGroup),
    ("security_group", Kind::SecurityGroup),
    ("security_group_rules", Kind::SecurityGroup),
    ("security_group_id", Kind::SecurityGroup),
    ("IP Protocol", Kind::SecurityGroup),
    ("rules", Kind::SecurityGroup),
    ("firewalls", Kind::NetworkACL),
    ("firewall", Kind::NetworkACL),
    ("firewall_groups", Kind::NetworkACL),
    ("firewall_rules", Kind::NetworkACL),
    ("network_acls", Kind::NetworkACL),
    ("ingress_rules", Kind::NetworkACL),
    ("address_groups", Kind::AddressGroup),
    ("address_group", Kind::AddressGroup),
    ("ip_set", Kind::AddressGroup),
    ("loadbalancers", Kind::LoadBalancer),
    ("loadbalancer", Kind::LoadBalancer),
    ("listeners", Kind::LoadBalancer),
    ("listener", Kind::LoadBalancer),
    ("pools", Kind::LoadBalancer),
    ("pool", Kind::LoadBalancer),
    ("healthmonitors", Kind::LoadBalancer),
    ("healthmonitor", Kind::LoadBalancer),
    ("vip_address", Kind::LoadBalancer),
    ("subnets", Kind::Subnet),
    ("subnet", Kind::Subnet),
    ("virsubnets", Kind::Subnet),
    ("cidr", Kind::Subnet),
];

/// The keys of a document, down to some depth; of lists only the first items.
fn collect<'n>(node: &'n Node, depth: usize, keys: &mut BTreeSet<&'n str>) {
    match &node.value {
        Value::List(items) => items.iter().take(3).for_each(|item| collect(item, depth, keys)),
        Value::Map(entries) => {
            for entry in entries.iter().take(100) {
                keys.insert(&entry.key);
                if depth > 0 {
                    collect(&entry.node, depth - 1, keys);
                }
            }
        }
        _ => {}
    }
}

/// What a document of this kind of another project is, where its kind tells more than that.
pub fn of_kind(kind: &str) -> Option<String> {
    let google = kind.starts_with("compute#");
    google.then(|| {
        format!(
            "this is an answer of the Google Cloud API ({}): {}",
            excerpt(kind),
            write_as(None)
        )
    })
}
