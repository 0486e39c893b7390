#!/usr/bin/env bash
# elb-doctor at work on a real API server: make demo, make demo-up, make demo-down.
#
#   demo.sh         shows it and leaves nothing behind
#   demo.sh up      shows it and keeps it, in demo-state/
#   demo.sh down    stops and removes what up has kept
#
# The controller runs as a program here, with the rights of the service account in deploy/.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

kept=$PWD/demo-state
program=${CARGO_TARGET_DIR:-target}/debug/elb-doctor
state='' controller=''

say() { printf '%s\n' "demo: $*" >&2; }

# admin COMMAND...: what an admin types, and what comes of it.
admin() {
    local word line='$'
    for word; do
        if [[ $word == *[^A-Za-z0-9_./:,=-]* ]]; then word="'$word'"; fi
        line+=" $word"
    done
    if [[ -t 1 && -z ${NO_COLOR-} ]]; then line=$'\033[1m'$line$'\033[0m'; fi
    printf '\n%s\n' "$line"
    "$@"
}

# controller_pid: its process id, if it runs: a pid file may outlive its process.
controller_pid() {
    local pid
    { read -r pid <"$state/controller.pid"; } 2>/dev/null &&
        [[ $({ tr '\0' '\n' <"/proc/$pid/environ"; } 2>/dev/null) == *"KUBECONFIG=$state/controller.kubeconfig"* ]] &&
        printf '%s\n' "$pid"
}

# stop: ends the controller the way a cluster does, then the control plane, and removes all files.
stop() {
    local pid deadline=$((SECONDS + 15))
    if pid=$(controller_pid); then
        kill -TERM "$pid" 2>/dev/null || true
        while controller_pid >/dev/null; do
            if ((SECONDS >= deadline)); then
                say 'the controller does not stop: killing it'
                kill -KILL "$pid" 2>/dev/null || true
            fi
            sleep 0.05
        done
    fi
    tests/control-plane/down "$state/control-plane"
    rm -rf -- "$state"
}

# finish: stops everything; after a failure it shows the end of the controller's log.
finish() {
    local status=$?
    trap - EXIT INT TERM HUP
    if ((status != 0 && status != 130)) && [[ -s $state/controller.log ]]; then
        say 'failed; the log of the controller ends:'
        tail -n 20 -- "$state/controller.log" >&2
    fi
    stop || status=1
    exit "$status"
}

# free_port: prints one that nothing listens on.
free_port() {
    local port
    while port=$((20000 + RANDOM % 12000)); do
        (exec 7<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { printf '%s\n' "$port"; return; }
    done
}

# start_controller: with the token of its service account and nothing else.
start_controller() {
    local config=$state/controller.kubeconfig port
    cp -- "$KUBECONFIG" "$config"
    {
        kubectl --kubeconfig="$config" config delete-user admin
        kubectl --kubeconfig="$config" config set-credentials elb-doctor \
            --token="$(kubectl --namespace=elb-doctor create token elb-doctor --duration=24h)"
        kubectl --kubeconfig="$config" config set-context --current --user=elb-doctor --namespace=elb-doctor
    } >/dev/null
    port=$(free_port)
    printf 'http://127.0.0.1:%s\n' "$port" >"$state/admin-address"
    KUBECONFIG=$config POD_NAMESPACE=elb-doctor POD_NAME=demo \
        setsid "$program" run --admin-addr "127.0.0.1:$port" </dev/null >"$state/controller.log" 2>&1 &
    controller=$!
    printf '%s\n' "$controller" >"$state/controller.pid"
    say "the controller runs as elb-doctor's service account; its log: $state/controller.log"
}

# reports: NAME STATE [REASON] of every backend server in the examples, as the reporter wants it.
reports() {
    awk '
        /^kind: / { kind = $2 }
        kind == "BackendServer" && /^metadata:/ { match($0, /name: [^,]+/); name = substr($0, RSTART + 6, RLENGTH - 6) }
        kind == "BackendServer" && /^  health:/ { gsub(/.*[{] state: | }/, ""); gsub(/, reason:/, ""); print name, $0 }
    ' examples/*.yaml
}

show() {
    say 'installing deploy/'
    kubectl apply --server-side -k deploy/ >/dev/null
    kubectl wait --for=condition=Established --timeout=30s crd --all >/dev/null
    start_controller

    admin kubectl create namespace shop
    local file files=()
    for file in examples/*.yaml; do
        [[ $file == */troubleshoot-request.yaml ]] || files+=(-f "$file")
    done
    say 'applying the examples'
    kubectl apply "${files[@]}" >/dev/null
    kubectl config set-context --current --namespace=shop >/dev/null

    say 'the load balancer reports: default-group-1 does not answer'
    admin kubectl patch bes/default-group-1 --subresource=status --type=merge \
        -p '{"status":{"health":{"state":"Unhealthy","reason":"ConnectTimeout"}}}'
    admin kubectl wait --for=condition=FaultFound bes/default-group-1 --timeout=60s
    say 'and so do the other examples'
    reports | examples/reporter.sh >/dev/null
    admin kubectl apply -f examples/troubleshoot-request.yaml
    admin kubectl wait --for=condition=Succeeded tsr/why-unhealthy --timeout=60s
    kubectl wait --for=condition=FaultFound bes/udp-icmp-1 --timeout=60s >/dev/null # the last one reported
    admin kubectl get elb,bes,tsr
    admin kubectl describe bes/default-group-1
    admin kubectl describe tsr/why-unhealthy
    admin kubectl events --for backendserver/default-group-1
}

up() {
    local env=$kept/control-plane/env
    if [[ -e $kept ]] && state=$kept && controller_pid >/dev/null; then
        say 'is up already'
    else
        if [[ -e $kept ]]; then stop; fi
        begin "$kept" --with-controller-manager # so that namespaces can be deleted, too
        show
        trap - EXIT INT TERM HUP
        disown "$controller"
    fi
    cat <<END

It stays up. To play with it, in any shell:

    . ${env@Q}    # sets KUBECONFIG, and puts kubectl on the PATH
    kubectl get elb,bes,tsr

Metrics: $(<"$kept/admin-address")/metrics. Log: $kept/controller.log. Stop it with make demo-down.
END
}

# begin DIR [OPTION...]: a control plane there, and nothing of it left when this ends.
begin() {
    state=$1
    shift
    trap finish EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    trap 'exit 129' HUP
    mkdir -p -- "$state"
    tests/control-plane/up "$state/control-plane" "$@"
    # shellcheck source=/dev/null
    source "$state/control-plane/env"
}

# needs_program: stopping does not need it.
needs_program() {
    [[ -x $program ]] || { say "there is no $program: use make demo"; exit 1; }
}

case ${1-} in
    '')
        needs_program
        begin "$(mktemp -d)" --owner $$
        show
        say 'stopping'
        ;;
    up)
        needs_program
        up
        ;;
    down)
        state=$kept
        if [[ -e $state ]]; then stop; fi
        ;;
    *)
        say "usage: ${0##*/} [up|down]"
        exit 2
        ;;
esac
