#!/usr/bin/env bash
# A minimal health reporter: writes to status.health of BackendServers what your load balancer says of them.
#
#   examples/reporter.sh [-n NAMESPACE] < LINES
#
# Each line is NAME STATE [REASON], such as
#
#   web-1 Unhealthy ConnectTimeout
#   web-2 Healthy
#
# STATE is Healthy, Unhealthy or Unknown; REASON is the cloud's code in CamelCase. Get the lines from the cloud's API, in
# a loop or a CronJob. Only what differs from what is there is written, so that running it again costs one read.
# The right it takes: the ClusterRole elb-doctor-health-reporter.
set -euo pipefail

usage() {
    echo "usage: ${0##*/} [-n NAMESPACE] < lines of NAME STATE [REASON]" >&2
    exit 2
}

kubectl=(kubectl)
while getopts n: option; do
    case $option in
        n) kubectl+=(--namespace "$OPTARG") ;;
        *) usage ;;
    esac
done
shift $((OPTIND - 1))
(($# == 0)) || usage

# NAME STATE,REASON of every backend server, as it stands now.
current=$("${kubectl[@]}" get backendservers --output go-template='{{range .items}}{{.metadata.name}} {{with .status}}{{with .health}}{{.state}},{{with .reason}}{{.}}{{end}}{{end}}{{end}}{{"\n"}}{{end}}')
declare -A reported=()
while read -r name health; do
    [[ -z $name ]] || reported[$name]=$health
done <<<"$current"

status=0 number=0
while read -r name state reason rest; do
    number=$((number + 1))
    [[ -n $name && $name != \#* ]] || continue
    if [[ ! $state =~ ^(Healthy|Unhealthy|Unknown)$ || ! $reason =~ ^([A-Z][A-Za-z]*)?$ || -n $rest ]]; then
        echo "line $number: want NAME, then Healthy, Unhealthy or Unknown, then perhaps a reason in CamelCase" >&2
        status=1
        continue
    fi
    [[ ${reported[$name]-} != "$state,$reason" ]] || continue
    code=null
    [[ -z $reason ]] || code="\"$reason\""
    printf -v patch '{"status":{"health":{"state":"%s","reason":%s,"message":null,"reportedAt":"%s"}}}' \
        "$state" "$code" "$(date -u +%Y-%m-%dT%H:%M:%SZ)"
    "${kubectl[@]}" patch --subresource=status --type=merge --patch "$patch" "backendserver/$name" || status=1
done
exit "$status"
