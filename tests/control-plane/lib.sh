# shellcheck shell=bash
# What up, down and ctl share. A control plane lives in one directory, $dir,
# with the working directory there, and consists of these programs:
#
#   etcd                 listens on the socket $dir/etcd.sock: no port that
#                        another could take or reach
#   apiserver            listens on 127.0.0.1; the port is in $dir/settings
#   controller-manager   if asked for; listens nowhere
#   watcher              if there is an owner; see `watch` in down
#
# NAME.pid and NAME.log belong to the program NAME. The file settings is also
# the mark by which a directory is known as one of ours.

stop_seconds=10
start_seconds=60

bin='' port='' controller_manager='' # from the file settings

say() { printf 'control-plane: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# enter DIR: sets $dir to its absolute path and goes there.
enter() {
    cd -P -- "$1" || exit 1
    dir=$PWD
}

# one_at_a_time: waits while another command works on the same directory. Fails
# if that command has removed the directory.
one_at_a_time() {
    command -v flock >/dev/null || return 0
    exec 8<"$dir" # the servers close it as they start
    flock -w 120 8 || die "another up, down or ctl has been busy with $dir for two minutes"
    [[ $dir -ef /dev/fd/8 ]]
}

read_settings() {
    # shellcheck source=/dev/null
    source "$dir/settings"
}

write_settings() {
    printf 'bin=%q\nport=%q\ncontroller_manager=%q\n' "$bin" "$port" "$controller_manager" >"$dir/settings.new"
    mv -- "$dir/settings.new" "$dir/settings"
}

# Processes ------------------------------------------------------------------

# arguments PID: its command line, an argument a line. Nothing if it has ended,
# a zombie counting as ended.
arguments() {
    if [[ -d /proc/self ]]; then
        { tr '\0' '\n' <"/proc/$1/cmdline"; } 2>/dev/null || true
    else
        ps -o args= -p "$1" 2>/dev/null | tr ' ' '\n' || true
    fi
}

# pid_of NAME: prints its process id; fails if it does not run. A pid file can
# outlive its process and the number be given to another, so what counts is
# that the process was started for this very directory.
pid_of() {
    local pid line
    { read -r pid <"$dir/$1.pid"; } 2>/dev/null || return 1
    while IFS= read -r line; do
        case $line in
            "$dir" | *="$dir"/*) printf '%s\n' "$pid"; return 0 ;;
        esac
    done < <(arguments "$pid")
    return 1
}

# launch NAME COMMAND...: starts it in the background, detached: its own process
# group, so that Ctrl-C in a terminal does not reach it, and none of our files.
launch() {
    local name=$1 pid
    shift
    set -m
    (
        trap '' HUP
        exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
        exec "$@"
    ) </dev/null >>"$dir/$name.log" 2>&1 &
    pid=$!
    set +m
    disown "$pid"
    printf '%s\n' "$pid" >"$dir/$name.pid"
    # Until it has become the program, pid_of does not know it.
    while kill -0 "$pid" 2>/dev/null && ! pid_of "$name" >/dev/null; do sleep 0.01; done
}

# stop NAME: asks it to end, makes it end after the deadline.
stop() {
    local pid deadline=$((SECONDS + stop_seconds))
    if pid=$(pid_of "$1"); then
        kill -TERM -- "-$pid" 2>/dev/null || true # it leads its process group
        kill -CONT -- "-$pid" 2>/dev/null || true # it may be paused
        while pid_of "$1" >/dev/null; do
            if ((SECONDS >= deadline)); then
                say "$1 did not stop within $stop_seconds s: killing it"
                slay "$1"
            fi
            sleep 0.05
        done
    fi
    rm -f -- "$dir/$1.pid"
}

# slay NAME: ends it at once.
slay() {
    local pid
    if pid=$(pid_of "$1"); then
        kill -KILL -- "-$pid" 2>/dev/null || true
        while pid_of "$1" >/dev/null; do sleep 0.02; done
    fi
    rm -f -- "$dir/$1.pid"
}

# failed NAME SENTENCE: shows the end of its log, and fails.
failed() {
    say "$1 $2; its log ends:"
    tail -n 15 -- "$dir/$1.log" 2>/dev/null | cut -c 1-400 >&2 || true
    return 1
}

# The programs ---------------------------------------------------------------

start_etcd() {
    if pid_of etcd >/dev/null; then return; fi
    rm -f -- "$dir/etcd.sock"
    launch etcd "$bin/etcd" --data-dir="$dir/etcd" --unsafe-no-fsync \
        --listen-client-urls=unix://etcd.sock --advertise-client-urls=http://127.0.0.1:0 \
        --listen-peer-urls=http://127.0.0.1:0
}

launch_apiserver() {
    # The key of its own certificate, which it makes by itself, also signs the
    # tokens of service accounts: no other program is needed to make keys.
    launch apiserver "$bin/kube-apiserver" \
        --bind-address=127.0.0.1 --secure-port="$port" --advertise-address=127.0.0.1 \
        --cert-dir="$dir/certs" --etcd-servers=unix:etcd.sock \
        --token-auth-file="$dir/tokens.csv" --authorization-mode=RBAC \
        --service-account-issuer=https://kubernetes.default.svc \
        --service-account-key-file="$dir/certs/apiserver.key" \
        --service-account-signing-key-file="$dir/certs/apiserver.key" \
        --service-cluster-ip-range=10.0.0.0/24 --endpoint-reconciler-type=none \
        --profiling=false
}

# start_apiserver: starts it on $port, if it does not run, and waits until it is
# ready. Status 3 says that another program has the port.
start_apiserver() {
    local deadline=$((SECONDS + start_seconds)) logged=0
    if ! pid_of apiserver >/dev/null; then
        if [[ -e $dir/apiserver.log ]]; then logged=$(wc -c <"$dir/apiserver.log"); fi
        launch_apiserver
    fi
    until write_kubeconfig && is_ready; do
        if ! pid_of apiserver >/dev/null; then
            if tail -c "+$((logged + 1))" "$dir/apiserver.log" | grep -c 'address already in use' >/dev/null; then
                return 3
            fi
            failed apiserver 'ended before it was ready'
            return
        elif ! pid_of etcd >/dev/null; then
            failed etcd 'does not run'
            return
        elif ((SECONDS >= deadline)); then
            failed apiserver "was not ready within $start_seconds s"
            return
        fi
        sleep 0.1
    done
}

start_controller_manager() {
    if pid_of controller-manager >/dev/null; then return; fi
    launch controller-manager "$bin/kube-controller-manager" \
        --kubeconfig="$dir/kubeconfig" --secure-port=0 --leader-elect=false --profiling=false \
        --service-account-private-key-file="$dir/certs/apiserver.key" --root-ca-file="$dir/certs/apiserver.crt"
}

# is_ready: does our API server, known by its certificate, say so?
is_ready() {
    (exec 7<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null &&
        [[ $("$bin/kubectl" --kubeconfig="$dir/kubeconfig" get --raw /readyz --request-timeout=5s 2>/dev/null) == ok ]]
}

# write_kubeconfig: fails as long as the API server has no certificate.
write_kubeconfig() {
    [[ -s $dir/certs/apiserver.crt && -s $dir/certs/apiserver.key ]] || return 1
    local token authority
    IFS=, read -r token _ <"$dir/tokens.csv"
    authority=$(base64 <"$dir/certs/apiserver.crt" | tr -d '\n')
    cat >"$dir/kubeconfig.new" <<END
apiVersion: v1
kind: Config
clusters:
  - name: control-plane
    cluster:
      server: https://127.0.0.1:$port
      certificate-authority-data: $authority
users:
  - name: admin
    user:
      token: $token
contexts:
  - name: control-plane
    context:
      cluster: control-plane
      user: admin
current-context: control-plane
END
    mv -- "$dir/kubeconfig.new" "$dir/kubeconfig"
}
