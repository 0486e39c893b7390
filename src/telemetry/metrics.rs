//! Metrics: controller-runtime's names, so that stock dashboards work, and our own.
//!
//! Labels are words of a fixed vocabulary, never names of objects: the number of series does not grow with the cluster.

use std::{sync::atomic::AtomicU64, time::Duration};

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::Registry,
};

/// Bounds of client-go's workqueue histograms, in seconds.
const QUEUE_BUCKETS: [f64; 12] = [1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0, 1000.0];
/// Bounds for the time of a whole reconcile, in seconds: a verdict is to be written in well under 50 ms.
const RECONCILE_BUCKETS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];
/// Bounds for the time of one diagnosis, in seconds: microseconds are the rule.
const DIAGNOSIS_BUCKETS: [f64; 12] = [
    1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 1e-2, 1e-1,
];

fn queue_histogram() -> Histogram {
    Histogram::new(QUEUE_BUCKETS)
}

fn reconcile_histogram() -> Histogram {
    Histogram::new(RECONCILE_BUCKETS)
}

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct QueueLabels {
    name: &'static str,
    controller: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ControllerLabels {
    controller: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ReconcileLabels {
    controller: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct OutcomeLabels {
    outcome: String,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct CheckLabels {
    id: String,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct WriteLabels {
    kind: &'static str,
    result: WriteResult,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct KindLabels {
    kind: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ResultLabels {
    result: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct LeaseLabels {
    name: String,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct BuildLabels {
    version: &'static str,
}

/// How a write to the API server ended.
#[derive(Clone, Copy, Debug, EncodeLabelValue, Eq, Hash, PartialEq)]
pub enum WriteResult {
    /// It was done.
    Success,
    /// The object is gone: nothing was left to write.
    Gone,
    /// Another write came first.
    Conflict,
    /// This right is missing.
    Forbidden,
    /// The API server found the status wrong: a fault of ours or an old CRD.
    Invalid,
    /// The API server asked to come back later.
    Throttled,
    /// No answer in time.
    Timeout,
    /// Anything else.
    Error,
}

/// Every metric of the process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    depth: Family<QueueLabels, Gauge>,
    adds: Family<QueueLabels, Counter>,
    retries: Family<QueueLabels, Counter>,
    waited: Histograms<QueueLabels>,
    worked: Histograms<QueueLabels>,
    reconciles: Family<ReconcileLabels, Counter>,
    errors: Family<ControllerLabels, Counter>,
    panics: Family<ControllerLabels, Counter>,
    times: Histograms<ControllerLabels>,
    active: Family<ControllerLabels, Gauge>,
    workers: Family<ControllerLabels, Gauge>,
    leader: Family<LeaseLabels, Gauge>,
    diagnoses: Family<OutcomeLabels, Counter>,
    failed_checks: Family<CheckLabels, Counter>,
    disagreements: Counter,
    writes: Family<WriteLabels, Counter>,
    watch_errors: Family<KindLabels, Counter>,
    objects: Family<KindLabels, Gauge>,
    view_ages: Family<KindLabels, Gauge<f64, AtomicU64>>,
    unreadable: Family<KindLabels, Counter>,
    lists: Family<KindLabels, Counter>,
    events: Family<ResultLabels, Counter>,
    events_waiting: Gauge,
    disputes: Gauge,
    closed_admin_connections: Counter,
    /// Seconds that a diagnosis takes, from the objects to the status.
    pub diagnosis_seconds: Histogram,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All metrics at zero.
    #[must_use]
    #[allow(clippy::too_many_lines, reason = "a list")]
    pub fn new() -> Self {
        let mut all = Self {
            registry: Registry::default(),
            depth: Family::default(),
            adds: Family::default(),
            retries: Family::default(),
            waited: Family::new_with_constructor(queue_histogram),
            worked: Family::new_with_constructor(queue_histogram),
            reconciles: Family::default(),
            errors: Family::default(),
            panics: Family::default(),
            times: Family::new_with_constructor(reconcile_histogram),
            active: Family::default(),
            workers: Family::default(),
            leader: Family::default(),
            diagnoses: Family::default(),
            failed_checks: Family::default(),
            disagreements: Counter::default(),
            writes: Family::default(),
            watch_errors: Family::default(),
            objects: Family::default(),
            view_ages: Family::default(),
            unreadable: Family::default(),
            lists: Family::default(),
            events: Family::default(),
            events_waiting: Gauge::default(),
            disputes: Gauge::default(),
            closed_admin_connections: Counter::default(),
            diagnosis_seconds: Histogram::new(DIAGNOSIS_BUCKETS),
        };
        let registry = &mut all.registry;
        registry.register("workqueue_depth", "Keys waiting for a worker", all.depth.clone());
        registry.register("workqueue_adds", "Keys added", all.adds.clone());
        registry.register(
            "workqueue_retries",
            "Keys requeued after a failure",
            all.retries.clone(),
        );
        registry.register(
            "workqueue_queue_duration_seconds",
            "Time a key waited for a worker",
            all.waited.clone(),
        );
        registry.register(
            "workqueue_work_duration_seconds",
            "Time a worker spent on a key",
            all.worked.clone(),
        );
        registry.register(
            "controller_runtime_reconcile",
            "Reconciliations, by result",
            all.reconciles.clone(),
        );
        registry.register(
            "controller_runtime_reconcile_errors",
            "Reconciliations that failed",
            all.errors.clone(),
        );
        registry.register(
            "controller_runtime_reconcile_panics",
            "Reconciliations that panicked",
            all.panics.clone(),
        );
        registry.register(
            "controller_runtime_reconcile_time_seconds",
            "Duration of a reconciliation, including its write",
            all.times.clone(),
        );
        registry.register(
            "controller_runtime_active_workers",
            "Workers that are busy",
            all.active.clone(),
        );
        registry.register(
            "controller_runtime_max_concurrent_reconciles",
            "Number of workers",
            all.workers.clone(),
        );
        registry.register(
            "leader_election_master_status",
            "1 if this process holds the lease, otherwise 0",
            all.leader.clone(),
        );
        registry.register(
            "elb_doctor_diagnoses",
            "Diagnoses written, by outcome: FaultsFound, NoFaultFound or the reason for the refusal",
            all.diagnoses.clone(),
        );
        registry.register(
            "elb_doctor_failed_checks",
            "Failed checks in the diagnoses written, by check ID",
            all.failed_checks.clone(),
        );
        registry.register(
            "elb_doctor_diagnosis_duration_seconds",
            "Duration of a diagnosis, from the objects to the status",
            all.diagnosis_seconds.clone(),
        );
        registry.register(
            "elb_doctor_report_disagreements",
            "Diagnoses written that contradict the reported reason",
            all.disagreements.clone(),
        );
        registry.register(
            "elb_doctor_status_writes",
            "Status writes (and deletions of expired requests), by kind and result",
            all.writes.clone(),
        );
        registry.register(
            "elb_doctor_watch_errors",
            "Watches that failed or could not start, by kind",
            all.watch_errors.clone(),
        );
        registry.register(
            "elb_doctor_objects",
            "Objects in the cache, by kind",
            all.objects.clone(),
        );
        registry.register(
            "elb_doctor_view_age_seconds",
            "Time since the cache of a kind was last known to be up to date, by kind",
            all.view_ages.clone(),
        );
        registry.register(
            "elb_doctor_unreadable_objects",
            "Objects received that could not be read, by kind",
            all.unreadable.clone(),
        );
        registry.register(
            "elb_doctor_lists",
            "Full lists from the API server, by kind",
            all.lists.clone(),
        );
        registry.register(
            "elb_doctor_events",
            "Kubernetes events, by result: published, failed, superseded (a newer event for the same object replaced it) or dropped",
            all.events.clone(),
        );
        registry.register(
            "elb_doctor_events_waiting",
            "Kubernetes events held back by the rate limit",
            all.events_waiting.clone(),
        );
        registry.register(
            "elb_doctor_disputes",
            "Objects whose status another installation keeps overwriting",
            all.disputes.clone(),
        );
        registry.register(
            "elb_doctor_admin_connections_closed",
            "Connections to the admin port closed because too many were open",
            all.closed_admin_connections.clone(),
        );
        registry.register(
            "elb_doctor_build",
            "Version of the running program",
            Info::new(BuildLabels {
                version: env!("CARGO_PKG_VERSION"),
            }),
        );
        all
    }

    /// The text exposition (`OpenMetrics` 1.0).
    ///
    /// # Errors
    ///
    /// When a metric cannot be formatted.
    pub fn encode(&self) -> Result<String, std::fmt::Error> {
        let mut page = String::new();
        text::encode(&mut page, &self.registry)?;
        Ok(page)
    }

    /// The metrics of one controller; its series exist from now on, so that a rate starts at zero.
    #[must_use]
    pub fn controller(&self, controller: &'static str, workers: u16) -> ControllerMetrics {
        let labels = ControllerLabels { controller };
        let result = |result| {
            self.reconciles
                .get_or_create_owned(&ReconcileLabels { controller, result })
        };
        self.workers.get_or_create(&labels).set(i64::from(workers));
        let queue = QueueLabels {
            name: controller,
            controller,
        };
        ControllerMetrics {
            success: result("success"),
            requeue_after: result("requeue_after"),
            error: result("error"),
            errors: self.errors.get_or_create_owned(&labels),
            panics: self.panics.get_or_create_owned(&labels),
            time: self.times.get_or_create_owned(&labels),
            active: self.active.get_or_create_owned(&labels),
            queue: QueueMetrics {
                depth: self.depth.get_or_create_owned(&queue),
                adds: self.adds.get_or_create_owned(&queue),
                retries: self.retries.get_or_create_owned(&queue),
                waited: self.waited.get_or_create_owned(&queue),
                worked: self.worked.get_or_create_owned(&queue),
            },
        }
    }

    /// Says whether this process holds the lease of that name.
    pub fn set_leader(&self, lease: &str, leads: bool) {
        let labels = LeaseLabels { name: lease.into() };
        self.leader.get_or_create(&labels).set(i64::from(leads));
    }

    /// Counts a verdict that was written: a word of the vocabulary of condition reasons.
    pub fn count_diagnosis(&self, outcome: &str) {
        let labels = OutcomeLabels {
            outcome: outcome.into(),
        };
        self.diagnoses.get_or_create(&labels).inc();
    }

    /// Counts a failed check of a verdict that was written.
    pub fn count_failed_check(&self, id: &str) {
        self.failed_checks.get_or_create(&CheckLabels { id: id.into() }).inc();
    }

    /// Counts a written verdict that contradicts the reported reason.
    pub fn count_disagreement(&self) {
        self.disagreements.inc();
    }

    /// Counts a write to an object of that kind.
    pub fn count_write(&self, kind: &'static str, result: WriteResult) {
        self.writes.get_or_create(&WriteLabels { kind, result }).inc();
    }

    /// Counts a broken watch.
    pub fn count_watch_error(&self, kind: &'static str) {
        self.watch_errors.get_or_create(&KindLabels { kind }).inc();
    }

    /// Says how many objects of a kind are known.
    pub fn set_objects(&self, kind: &'static str, number: usize) {
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        self.objects.get_or_create(&KindLabels { kind }).set(number);
    }

    /// Counts a connection to the admin port that was closed for another.
    pub fn count_closed_admin_connection(&self) {
        self.closed_admin_connections.inc();
    }

    /// Counts events that were `published`, `failed`, `superseded` or `dropped`.
    pub fn count_events(&self, result: &'static str, number: usize) {
        let number = u64::try_from(number).unwrap_or(u64::MAX);
        self.events.get_or_create(&ResultLabels { result }).inc_by(number);
    }

    /// Says how many objects have a status that another installation keeps overwriting.
    pub fn set_disputes(&self, number: usize) {
        self.disputes.set(i64::try_from(number).unwrap_or(i64::MAX));
    }

    /// Says how many events wait to be published.
    pub fn set_events_waiting(&self, number: usize) {
        self.events_waiting.set(i64::try_from(number).unwrap_or(i64::MAX));
    }

    /// Says how old the view of a kind is.
    pub fn set_view_age(&self, kind: &'static str, age: Duration) {
        self.view_ages
            .get_or_create(&KindLabels { kind })
            .set(age.as_secs_f64());
    }

    /// Counts an object that was delivered and could not be read.
    pub fn count_unreadable(&self, kind: &'static str) {
        self.unreadable.get_or_create(&KindLabels { kind }).inc();
    }

    /// Counts a list of a whole kind.
    pub fn count_list(&self, kind: &'static str) {
        self.lists.get_or_create(&KindLabels { kind }).inc();
    }
}

/// The metrics of one controller.
#[derive(Clone, Debug)]
pub struct ControllerMetrics {
    /// Reconciles that ended well with nothing left to do.
    pub success: Counter,
    /// Reconciles that ended well and are to be looked at again at a known time.
    pub requeue_after: Counter,
    /// Reconciles that failed.
    pub error: Counter,
    /// The same, under controller-runtime's second name.
    pub errors: Counter,
    /// Reconciles that panicked.
    pub panics: Counter,
    /// Seconds of a reconcile.
    pub time: Histogram,
    /// Workers that have a key now.
    pub active: Gauge,
    /// Its queue.
    pub queue: QueueMetrics,
}

/// The metrics of one work queue.
#[derive(Clone, Debug)]
pub struct QueueMetrics {
    /// Keys that wait.
    pub depth: Gauge,
    /// Keys added.
    pub adds: Counter,
    /// Keys added again after a failure.
    pub retries: Counter,
    /// Seconds a key waited.
    pub waited: Histogram,
    /// Seconds a worker had a key.
    pub worked: Histogram,
}

impl Default for QueueMetrics {
    /// Metrics that nobody reads.
    fn default() -> Self {
        Self {
            depth: Gauge::default(),
            adds: Counter::default(),
            retries: Counter::default(),
            waited: queue_histogram(),
            worked: queue_histogram(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_the_names_that_dashboards_ask_for() {
        let metrics = Metrics::new();
        let controller = metrics.controller("backendserver", 3);
        controller.success.inc();
        controller.queue.waited.observe(0.002);
        metrics.set_leader("elb-doctor", true);
        metrics.count_write("BackendServer", WriteResult::Success);
        metrics.count_diagnosis("FaultsFound");
        let page = metrics.encode().unwrap();
        for line in [
            "controller_runtime_reconcile_total{controller=\"backendserver\",result=\"success\"} 1",
            "controller_runtime_reconcile_errors_total{controller=\"backendserver\"} 0",
            "controller_runtime_max_concurrent_reconciles{controller=\"backendserver\"} 3",
            "workqueue_depth{name=\"backendserver\",controller=\"backendserver\"} 0",
            "workqueue_queue_duration_seconds_count{name=\"backendserver\",controller=\"backendserver\"} 1",
            "leader_election_master_status{name=\"elb-doctor\"} 1",
            "elb_doctor_status_writes_total{kind=\"BackendServer\",result=\"Success\"} 1",
            "elb_doctor_diagnoses_total{outcome=\"FaultsFound\"} 1",
        ] {
            assert!(page.lines().any(|l| l == line), "{line} is not in\n{page}");
        }
        assert!(page.contains("elb_doctor_build_info{version="));
        assert!(page.ends_with("# EOF\n"));
    }
}
