# Sourced by helm/test: the chart on a real control plane (etcd, API server, controllers, scheduler) on loopback.
#
# Nodes and pods are fake: KWOK says that they are ready. So what is seen is what the API server admits under the
# restricted level, what the controllers make of it, and what Helm does; images and probes are not exercised.
# shellcheck shell=bash

kubernetes=1.37.2
cluster=$target/cluster

control_plane() {
    local stamp=$target/cluster.sum here=.config/chart/cluster x=k8s.io/component-base/version
    cmp -s $here/go.sum "$stamp" && return
    (cd $here && export GOFLAGS="${GOFLAGS:-} -buildvcs=false" &&
        nice go build -p "${STEPUP_GO_JOBS:-2}" -trimpath \
            -ldflags "-s -w -X $x.gitVersion=v$kubernetes -X $x.gitMajor=1 -X $x.gitMinor=${kubernetes:2:2}" -o "$bin/" \
            k8s.io/kubernetes/cmd/{kube-apiserver,kube-controller-manager,kube-scheduler,kubectl} sigs.k8s.io/kwok/cmd/kwok &&
        nice go build -p "${STEPUP_GO_JOBS:-2}" -trimpath -ldflags '-s -w' -o "$bin/etcd" go.etcd.io/etcd/server/v3 &&
        nice go build -p "${STEPUP_GO_JOBS:-2}" -trimpath -ldflags '-s -w' -o "$bin/helm4" helm.sh/helm/v4/cmd/helm) || return
    cp $here/go.sum "$stamp"
}

free_ports() {
    python3 -c 'import socket
them = [socket.create_server(("127.0.0.1", 0)) for _ in range(6)]
print(*(one.getsockname()[1] for one in them))'
}

# Starts a program that ends with this script, its output in a file of its own.
begin() {
    local name=$1
    shift
    "$@" >"$cluster/$name.log" 2>&1 &
    printf '%s\n' $! >>"$cluster/pids"
}

cluster_down() {
    [ -e "$cluster/pids" ] || return 0
    local pid
    # Nothing of it is kept, and an API server that ends in order takes minutes once etcd has gone.
    for pid in $(tac "$cluster/pids"); do kill -KILL "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -f "$cluster/pids"
}

# Waits for a command to succeed, a minute at the most.
until_true() {
    local try
    for try in $(seq 1 240); do
        "$@" >/dev/null 2>&1 && return
        sleep 0.25
    done
    echo "never came true: $*" >&2
    return 1
}

stages() {
    local kwok file
    kwok=$(cd .config/chart/cluster && go list -m -f '{{.Dir}}' sigs.k8s.io/kwok) || return
    for file in "$kwok"/kustomize/stage/{node/fast,node/heartbeat-with-lease,pod/fast}/*.yaml; do
        [[ $file == */kustomization.yaml ]] || { cat "$file" && echo '---'; } || return
    done
    cat .config/chart/cluster/check-completes.yaml
}

nodes() {
    local number
    for number in 1 2 3 4 5 6; do
        cat <<Y
---
apiVersion: v1
kind: Node
metadata:
  name: node-$number
  annotations: { kwok.x-k8s.io/node: fake }
  labels: { kubernetes.io/hostname: node-$number, kubernetes.io/os: linux, topology.kubernetes.io/zone: zone-$((number % 3)) }
status:
  allocatable: { cpu: "16", memory: 64Gi, ephemeral-storage: 100Gi, pods: "110" }
  capacity: { cpu: "16", memory: 64Gi, ephemeral-storage: 100Gi, pods: "110" }
Y
    done
}

all_nodes_ready() { [ "$(kubectl get nodes --no-headers | grep -cw Ready)" = 6 ]; }

cluster_up() {
    local ports etcd peers api controllers scheduler kwok
    rm -rf "$cluster" && mkdir -p "$cluster" && ports=$(free_ports) || return
    read -r etcd peers api controllers scheduler kwok <<<"$ports"
    export KUBECONFIG=$cluster/kubeconfig HELM_CACHE_HOME=$cluster/helm HELM_CONFIG_HOME=$cluster/helm HELM_DATA_HOME=$cluster/helm
    trap cluster_down EXIT
    openssl genrsa -out "$cluster/accounts.key" 2048 2>/dev/null &&
        printf 'admin,admin,1,"system:masters"\n' >"$cluster/tokens.csv" &&
        stages >"$cluster/stages.yaml" || return
    begin etcd "$bin/etcd" --data-dir "$cluster/etcd" --listen-client-urls "http://127.0.0.1:$etcd" \
        --advertise-client-urls "http://127.0.0.1:$etcd" --listen-peer-urls "http://127.0.0.1:$peers" \
        --initial-advertise-peer-urls "http://127.0.0.1:$peers" --initial-cluster "default=http://127.0.0.1:$peers"
    begin apiserver "$bin/kube-apiserver" --etcd-servers "http://127.0.0.1:$etcd" --bind-address 127.0.0.1 \
        --secure-port "$api" --cert-dir "$cluster/certs" --token-auth-file "$cluster/tokens.csv" \
        --authorization-mode RBAC --service-cluster-ip-range 10.96.0.0/16 --endpoint-reconciler-type none \
        --service-account-issuer https://kubernetes.default.svc --service-account-key-file "$cluster/accounts.key" \
        --service-account-signing-key-file "$cluster/accounts.key"
    cat >"$KUBECONFIG" <<Y
apiVersion: v1
kind: Config
clusters: [{ name: here, cluster: { server: "https://127.0.0.1:$api", insecure-skip-tls-verify: true } }]
users: [{ name: admin, user: { token: admin } }]
contexts: [{ name: here, context: { cluster: here, user: admin } }]
current-context: here
Y
    until_true kubectl get --raw /readyz || { tail -n 5 "$cluster/apiserver.log" >&2; return 1; }
    begin controllers "$bin/kube-controller-manager" --kubeconfig "$KUBECONFIG" --bind-address 127.0.0.1 \
        --secure-port "$controllers" --cert-dir "$cluster/certs-controllers" --leader-elect=false \
        --service-account-private-key-file "$cluster/accounts.key" --root-ca-file "$cluster/certs/apiserver.crt"
    begin scheduler "$bin/kube-scheduler" --kubeconfig "$KUBECONFIG" --bind-address 127.0.0.1 \
        --secure-port "$scheduler" --cert-dir "$cluster/certs-scheduler" --leader-elect=false
    begin kwok "$bin/kwok" --kubeconfig "$KUBECONFIG" --manage-all-nodes=true --node-lease-duration-seconds 40 \
        --server-address "127.0.0.1:$kwok" --config "$cluster/stages.yaml"
    until_true kubectl get serviceaccount default && nodes | kubectl apply -f - >/dev/null &&
        until_true all_nodes_ready
}

# What the cases rely on and a cluster of one's own would have.
surroundings() {
    local files file
    mapfile -t files < <(crds)
    for file in "${files[@]}"; do kubectl apply --server-side -f "$file" >/dev/null || return; done
    kubectl wait --for=condition=Established crd --all >/dev/null &&
        kubectl create priorityclass streaming --value=1000 >/dev/null
}

# A namespace that admits restricted pods only, and what a case needs in it.
namespace() {
    kubectl create namespace "$1" >/dev/null &&
        kubectl label namespace "$1" pod-security.kubernetes.io/{enforce,warn,audit}=restricted >/dev/null &&
        kubectl create --namespace "$1" serviceaccount streaming >/dev/null &&
        until_true kubectl get --namespace "$1" serviceaccount default
}

# Runs Helm and refuses a warning of the API server as it would an error.
helm_quietly() {
    local said
    said=$("$helm" "$@" 2>&1) || { printf '%s\n' "$said" >&2; return 1; }
    ! grep -E 'warnings\.go|^W[0-9]{4}|^Warning:' <<<"$said" >&2
}

# helm install and upgrade of a case, waited for.
put() { helm_quietly upgrade --install stepup $chart --namespace "$1" --wait --timeout 2m "${@:2}"; }

config_of() { kubectl get --namespace "$1" configmap stepup-config --output 'jsonpath={.data.stepup\.yaml}'; }

# Every object of the release but those that Kubernetes makes for itself.
left_over() {
    local kinds
    kinds=$(kubectl api-resources --namespaced --verbs=list --output name | grep -vE '^(events|pods|replicasets|controllerrevisions|endpoints)' |
        paste -sd,) && kubectl get "$kinds" --namespace "$1" --selector app.kubernetes.io/instance=stepup --output name 2>/dev/null |
        grep -v endpointslice
}

case_lives() {
    local values=$1 space
    space=$helm-$(name_of "$1")
    namespace "$space" && put "$space" --values "$values" || return
    # Nothing that the server filled in or threw away makes a second round differ.
    put "$space" --values "$values" && helm_quietly test stepup --namespace "$space" || return
    kubectl get --namespace "$space" pods --no-headers | grep -vE 'Running|Completed|Succeeded' && return 1
    # Pods there are, and they are those of the roles.
    [ "$(kubectl get --namespace "$space" pods --selector app.kubernetes.io/component=evaluate --no-headers | wc -l)" -gt 0 ] &&
        helm_quietly uninstall stepup --namespace "$space" --wait --timeout 2m || return
    ! left_over "$space" >&2
}

upgrade_and_rollback() {
    local space=$helm-upgrade values=$chart/ci/minimal-values.yaml before after
    namespace "$space" && put "$space" --values "$values" && before=$(config_of "$space") || return
    put "$space" --values "$values" --set config.evaluate.batch_size=500 --set evaluate.replicas=3 \
        --set evaluate.minReadySeconds=1 || return
    kubectl rollout status --namespace "$space" deployment stepup-evaluate --timeout 2m >/dev/null || return
    after=$(config_of "$space")
    [ "$before" != "$after" ] && grep -q 'batch_size: 500' <<<"$after" || return
    [ "$(kubectl get --namespace "$space" deployment stepup-evaluate --output 'jsonpath={.status.readyReplicas}')" = 3 ] || return
    # Another configuration is another revision of the pods: none of the old ones is left.
    [ "$(kubectl get --namespace "$space" replicasets --selector app.kubernetes.io/component=evaluate --no-headers |
        awk '$2 > 0' | wc -l)" = 1 ] || return
    # To static members and back.
    put "$space" --values "$values" --set evaluate.staticMembership.enabled=true || return
    until_true kubectl get --namespace "$space" pod stepup-evaluate-1 || return
    ! kubectl get --namespace "$space" deployment stepup-evaluate >/dev/null 2>&1 || return
    helm_quietly rollback stepup 1 --namespace "$space" --wait --timeout 2m || return
    [ "$(config_of "$space")" = "$before" ] && kubectl get --namespace "$space" deployment stepup-evaluate >/dev/null &&
        ! kubectl get --namespace "$space" statefulset stepup-evaluate >/dev/null 2>&1
}

# The budgets are those of the roles' pods, and of no others.
budgets_count() {
    local space=budgets allowed
    namespace $space && put $space --values $chart/ci/minimal-values.yaml --set dispatch.podDisruptionBudget.maxUnavailable=0 &&
        helm_quietly test stepup --namespace $space || return
    allowed() {
        [ "$(kubectl get --namespace $space poddisruptionbudget "stepup-$1" \
            --output 'jsonpath={.status.expectedPods} {.status.disruptionsAllowed}')" = "$2" ]
    }
    until_true allowed evaluate "2 1" && until_true allowed dispatch "2 0"
}

# The namespace does enforce: pods with more rights are not made.
more_rights_are_refused() {
    namespace lax && helm upgrade --install stepup $chart --namespace lax --values $chart/ci/minimal-values.yaml \
        --set containerSecurityContext.allowPrivilegeEscalation=true >"$cluster/lax.log" 2>&1 || return
    grep -q 'would violate PodSecurity .*restricted' "$cluster/lax.log" || return
    refused() {
        kubectl get --namespace lax deployment stepup-evaluate \
            --output 'jsonpath={.status.conditions[?(@.type=="ReplicaFailure")].message}' | grep -q 'violates PodSecurity "restricted'
    }
    until_true refused && [ -z "$(kubectl get --namespace lax pods --output name)" ]
}

on_a_cluster() {
    local values
    step "control plane of Kubernetes $kubernetes" control_plane
    step "start" cluster_up
    step "custom resources" surroundings
    for helm in helm helm4; do
        step "$helm: upgrade, rollback" upgrade_and_rollback
        for values in $(cases); do
            step "$helm: $(name_of "$values")" case_lives "$values"
        done
    done
    helm=helm
    step "disruption budgets" budgets_count
    step "a pod with more rights is refused" more_rights_are_refused
}
